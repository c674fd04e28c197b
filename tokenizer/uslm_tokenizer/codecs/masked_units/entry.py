"""Masked units: trained here, published nowhere."""

from uslm_tokenizer.codecs.entry import Entry

ENTRY = Entry(models={"masked_units": "uslm_tokenizer.codecs.masked_units.model:MaskedUnits"})
