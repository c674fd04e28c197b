"""`python -m uslm_recipes.train_gense`, which lies in train/gense.py."""

from uslm_recipes.train.gense import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
