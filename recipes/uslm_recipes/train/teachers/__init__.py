"""Frozen models that recipes learn from: features, labels, states of a text."""
