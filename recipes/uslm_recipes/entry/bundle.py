"""`python -m uslm_recipes.bundle`, which lies in commands/bundle.py."""

from uslm_recipes.commands.bundle import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
