"""Layouts of the published language models, beside those of the tokenizers."""
