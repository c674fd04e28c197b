"""`python -m uslm_recipes.train_make_a_voice`, which lies in train/make_a_voice.py."""

from uslm_recipes.train.make_a_voice import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
