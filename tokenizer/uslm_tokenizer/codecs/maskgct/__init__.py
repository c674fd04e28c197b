"""MaskGCT's acoustic codec (Wang et al. 2025)."""
