"""RepCodec: a codec of speech features."""
