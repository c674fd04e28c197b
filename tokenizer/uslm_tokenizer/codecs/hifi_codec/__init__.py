"""HiFi-Codec (Yang et al. 2023)."""
