"""Pitch tokens, by their name."""

from uslm_tokenizer.codecs.entry import Entry

ENTRY = Entry(models={"pitch_tokens": "uslm_tokenizer.codecs.pitch_tokens.model:PitchTokens"})
