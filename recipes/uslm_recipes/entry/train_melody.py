"""`python -m uslm_recipes.train_melody`, which lies in train/melody.py."""

from uslm_recipes.train.melody import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
