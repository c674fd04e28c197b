"""`python -m uslm_recipes.train_vector_vocoder`, which lies in train/vector_vocoder.py."""

from uslm_recipes.train.vector_vocoder import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
