"""Written English -> spoken English. `rules.py` has the table of rules."""

from uslm.text.english.rules import normalize_english

__all__ = ["normalize_english"]
