"""`python -m uslm_recipes.train_content_lm`, which lies in train/content_lm.py."""

from uslm_recipes.train.content_lm import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
