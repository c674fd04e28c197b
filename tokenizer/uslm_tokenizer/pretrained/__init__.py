"""Pretrained checkpoints: how they are laid out, and how they become models of this package."""
