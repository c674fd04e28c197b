"""`python -m uslm_recipes.train_source_filter`, which lies in train/source_filter.py."""

from uslm_recipes.train.source_filter import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
