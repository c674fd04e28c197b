"""GenSE: noisy speech to clean speech, as a translation of tokens."""
