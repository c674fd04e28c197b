"""Vevo's vocoder (Zhang et al. 2025)."""
