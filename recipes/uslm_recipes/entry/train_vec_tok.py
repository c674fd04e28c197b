"""`python -m uslm_recipes.train_vec_tok`, which lies in train/vec_tok.py."""

from uslm_recipes.train.vec_tok import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
