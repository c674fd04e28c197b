"""Moshi: a language model that listens and speaks at once, over streams of text and codes."""
