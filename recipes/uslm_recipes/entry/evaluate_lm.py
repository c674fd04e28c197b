"""`python -m uslm_recipes.evaluate_lm`, which lies in commands/evaluate_lm.py."""

from uslm_recipes.commands.evaluate_lm import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
