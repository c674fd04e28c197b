"""Recognisers and speaker models that judge speech; loading.py finds them by name."""
