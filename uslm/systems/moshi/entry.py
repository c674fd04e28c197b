"""Moshi: its models, and the checkpoints that it reads."""

from uslm.systems.entry import Entry

ENTRY = Entry(
    models={"moshi_lm": "uslm.systems.moshi.model:MoshiLM"},
    key_mappings={
        "moshi": "uslm.systems.moshi.checkpoint:MOSHI",
        "moshi_transformers": "uslm.systems.moshi.checkpoint:MOSHI_TRANSFORMERS",
    },
)
