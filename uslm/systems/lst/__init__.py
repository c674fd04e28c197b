"""LST: a language model of speech in patches, and of text."""
