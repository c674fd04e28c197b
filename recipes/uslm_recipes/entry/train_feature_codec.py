"""`python -m uslm_recipes.train_feature_codec`, which lies in train/feature_codec.py."""

from uslm_recipes.train.feature_codec import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
