"""The default semantic tokenizer, by its name."""

from uslm_tokenizer.codecs.entry import Entry

ENTRY = Entry(models={"unit_tokenizer": "uslm_tokenizer.codecs.unit_tokenizer.model:UnitTokenizer"})
