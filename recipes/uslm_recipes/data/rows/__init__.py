"""Rows of each kind of model: what one example of a batch is made of."""
