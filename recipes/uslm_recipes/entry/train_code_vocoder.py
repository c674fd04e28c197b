"""`python -m uslm_recipes.train_code_vocoder`, which lies in train/code_vocoder.py."""

from uslm_recipes.train.code_vocoder import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
