"""`python -m uslm_recipes.compare`, which lies in commands/compare.py."""

from uslm_recipes.commands.compare import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
