"""The default codec: units first, then residual levels."""
