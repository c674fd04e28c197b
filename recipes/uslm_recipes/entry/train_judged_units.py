"""`python -m uslm_recipes.train_judged_units`, which lies in train/judged_units.py."""

from uslm_recipes.train.judged_units import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
