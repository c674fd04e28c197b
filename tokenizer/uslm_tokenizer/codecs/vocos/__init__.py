"""What WavTokenizer and Language-Codec have in common: SEANet listens, Vocos speaks."""
