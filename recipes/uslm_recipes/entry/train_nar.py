"""`python -m uslm_recipes.train_nar`, which lies in train/nar.py."""

from uslm_recipes.train.nar import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
