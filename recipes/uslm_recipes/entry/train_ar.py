"""`python -m uslm_recipes.train_ar`, which lies in train/ar.py."""

from uslm_recipes.train.ar import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
