"""Building blocks that tokenizers and language models share."""
