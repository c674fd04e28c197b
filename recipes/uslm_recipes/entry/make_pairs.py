"""`python -m uslm_recipes.make_pairs`, which lies in commands/make_pairs.py."""

from uslm_recipes.commands.make_pairs import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
