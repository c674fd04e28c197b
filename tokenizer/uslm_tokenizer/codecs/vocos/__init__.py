"""Base of WavTokenizer and Language-Codec: SEANet encodes, Vocos decodes."""
