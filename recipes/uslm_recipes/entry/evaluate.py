"""`python -m uslm_recipes.evaluate`, which lies in commands/evaluate.py."""

from uslm_recipes.commands.evaluate import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
