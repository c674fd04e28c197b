"""Codecs, one folder each."""
