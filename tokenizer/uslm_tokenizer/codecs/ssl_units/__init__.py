"""Units from a codec of a frozen encoder's features."""
