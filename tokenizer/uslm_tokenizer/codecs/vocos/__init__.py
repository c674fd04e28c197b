"""What WavTokenizer and Language-Codec have in common: SEANet encodes, Vocos decodes."""
