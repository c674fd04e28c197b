"""Units of a frozen encoder's features, by their name."""

from uslm_tokenizer.codecs.entry import Entry

ENTRY = Entry(models={"ssl_units": "uslm_tokenizer.codecs.ssl_units.model:SSLUnits"})
