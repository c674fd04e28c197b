"""Mimi: a streaming codec whose first codebook follows a speech encoder, and it trains."""
