"""`python -m uslm_recipes.vocab`, which lies in commands/vocab.py."""

from uslm_recipes.commands.vocab import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
