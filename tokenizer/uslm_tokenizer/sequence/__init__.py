"""Tools on sequences of codes."""
