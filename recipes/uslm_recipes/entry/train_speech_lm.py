"""`python -m uslm_recipes.train_speech_lm`, which lies in train/speech_lm.py."""

from uslm_recipes.train.speech_lm import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
