"""MeLoDy (Lam et al. 2023): semantic units by a language model, latents by dual-path diffusion."""
