"""`python -m uslm_recipes.train_streams`, which lies in train/streams.py."""

from uslm_recipes.train.streams import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
