"""Mimi as we train it, and its checkpoints."""

from uslm_tokenizer.codecs.entry import Entry

ENTRY = Entry(
    models={"mimi_codec": "uslm_tokenizer.codecs.mimi.model:MimiCodec"},
    key_mappings={"mimi": "uslm_tokenizer.codecs.mimi.checkpoint:MIMI"},
)
