"""`python -m uslm_recipes.fine_tune`, which lies in commands/fine_tune.py."""

from uslm_recipes.commands.fine_tune import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
