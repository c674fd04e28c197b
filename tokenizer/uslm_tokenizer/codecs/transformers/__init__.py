"""EnCodec, DAC, Mimi and X-Codec of the package transformers, behind our interface."""
