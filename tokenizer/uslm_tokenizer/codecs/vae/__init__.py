"""A variational codec: continuous latents in place of codes."""
