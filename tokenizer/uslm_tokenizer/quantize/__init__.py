"""Quantizers: continuous latents to codes and back, all behind one interface (base.py)."""
