"""Recordings on disk, their tokens, and the batches a recipe draws from them."""
