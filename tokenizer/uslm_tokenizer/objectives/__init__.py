"""What tokenizers are trained on: losses of waveforms and features, and their weights."""
