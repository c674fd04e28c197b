"""`python -m uslm_recipes.shards`, which lies in commands/shards.py."""

from uslm_recipes.commands.shards import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
