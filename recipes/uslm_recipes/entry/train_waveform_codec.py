"""`python -m uslm_recipes.train_waveform_codec`, which lies in train/waveform_codec.py."""

from uslm_recipes.train.waveform_codec import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
