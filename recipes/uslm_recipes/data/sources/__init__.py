"""The corpora that `uslm-prepare` reads, one layout a file; registry.py lists them."""
