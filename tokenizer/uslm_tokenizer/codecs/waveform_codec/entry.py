"""The codec of any encoder, quantizer and decoder, by its name."""

from uslm_tokenizer.codecs.entry import Entry

ENTRY = Entry(models={"waveform_codec": "uslm_tokenizer.codecs.waveform_codec.model:WaveformCodec"})
