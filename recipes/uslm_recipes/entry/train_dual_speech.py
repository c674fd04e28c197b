"""`python -m uslm_recipes.train_dual_speech`, which lies in train/dual_speech.py."""

from uslm_recipes.train.dual_speech import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
