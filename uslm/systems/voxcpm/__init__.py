"""VoxCPM (arXiv 2509.24650): a language model that drives a local diffusion head over latents."""
