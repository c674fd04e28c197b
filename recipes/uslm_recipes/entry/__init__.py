"""The commands by the names that are typed: `python -m uslm_recipes.NAME` runs a file of here."""
