"""`python -m uslm_recipes.stock_voices`, which lies in commands/stock_voices.py."""

from uslm_recipes.commands.stock_voices import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
