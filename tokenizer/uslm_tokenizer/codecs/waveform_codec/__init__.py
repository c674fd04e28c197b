"""A codec of waveforms put together from any encoder, quantizer and decoder."""
