"""`python -m uslm_recipes.encode`, which lies in commands/encode.py."""

from uslm_recipes.commands.encode import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
