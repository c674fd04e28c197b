"""Numbers out of arrays and words; nothing is loaded here."""
