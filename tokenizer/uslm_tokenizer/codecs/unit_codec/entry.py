"""The codec whose first codebook is units, by its name."""

from uslm_tokenizer.codecs.entry import Entry

ENTRY = Entry(models={"unit_codec": "uslm_tokenizer.codecs.unit_codec.model:UnitCodec"})
