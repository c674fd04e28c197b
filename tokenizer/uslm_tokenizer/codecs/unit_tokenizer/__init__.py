"""The default semantic tokenizer."""
