"""`python -m uslm_recipes.train_units`, which lies in train/units.py."""

from uslm_recipes.train.units import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
