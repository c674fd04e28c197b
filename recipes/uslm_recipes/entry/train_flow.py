"""`python -m uslm_recipes.train_flow`, which lies in train/flow.py."""

from uslm_recipes.train.flow import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
