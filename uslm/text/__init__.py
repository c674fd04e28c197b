"""Text to phoneme ids: normalise, look up, phonemize, encode; importing this is cheap."""
