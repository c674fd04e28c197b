"""`python -m uslm_recipes.train_voxcpm`, which lies in train/voxcpm.py."""

from uslm_recipes.train.voxcpm import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
