"""`python -m uslm_recipes.model_card`, which lies in cards/model_card.py."""

from uslm_recipes.cards.model_card import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
