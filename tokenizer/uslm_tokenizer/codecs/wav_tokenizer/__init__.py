"""WavTokenizer (Ji et al. 2024)."""
