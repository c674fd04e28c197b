"""English text as it is written -> English text as it is said. `rules.py` has the table of rules."""

from uslm.text.english.rules import normalize_english

__all__ = ["normalize_english"]
