"""`python -m uslm_recipes.prepare`, which lies in commands/prepare.py."""

from uslm_recipes.commands.prepare import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
