"""`python -m uslm_recipes.train_masked_units`, which lies in train/masked_units.py."""

from uslm_recipes.train.masked_units import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
