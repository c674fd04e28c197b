"""The original EnCodec: its checkpoints, its package, its files."""
