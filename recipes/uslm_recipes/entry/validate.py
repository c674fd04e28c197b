"""`python -m uslm_recipes.validate`, which lies in commands/validate.py."""

from uslm_recipes.commands.validate import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
