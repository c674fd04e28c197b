"""Units that judges have shaped, by their name."""

from uslm_tokenizer.codecs.entry import Entry

ENTRY = Entry(models={"judged_units": "uslm_tokenizer.codecs.judged_units.model:JudgedUnits"})
