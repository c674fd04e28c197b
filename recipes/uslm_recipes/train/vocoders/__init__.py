"""What the recipes of vocoders share."""
