"""Text to phoneme ids: normalise, look up, phonemize, encode. Importing this loads nothing heavy."""
