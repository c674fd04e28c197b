"""Vevo's content tokenizer."""
