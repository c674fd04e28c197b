"""`python -m uslm_recipes.train_joint`, which lies in train/joint.py."""

from uslm_recipes.train.joint import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
