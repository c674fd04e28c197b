"""`python -m uslm_recipes.train_codec`, which lies in train/unit_codec.py."""

from uslm_recipes.train.unit_codec import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
