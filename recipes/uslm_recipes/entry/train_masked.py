"""`python -m uslm_recipes.train_masked`, which lies in train/masked.py."""

from uslm_recipes.train.masked import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
