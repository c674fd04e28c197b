"""Written English -> spoken English. `rules.py` has the table of rules."""

from uslm.text.english.rules import normalize_english
from uslm.text.english.written import clean_english

__all__ = ["clean_english", "normalize_english"]
