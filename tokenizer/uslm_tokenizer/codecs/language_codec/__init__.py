"""Language-Codec (Ji et al. 2024)."""
