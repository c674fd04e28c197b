"""Training that the recipes of vocoders share."""
