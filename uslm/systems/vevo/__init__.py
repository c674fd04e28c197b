"""Vevo (Zhang et al. 2025): content and style as units, flow matching to mel frames."""
