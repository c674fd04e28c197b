"""Training recipes: one readable script a model, to be copied and changed."""

from pathlib import Path

# `python -m uslm_recipes.train_ar` finds the file of that name in entry/: what is typed stays the
# same, wherever the recipe lies.
__path__.append(str(Path(__file__).with_name("entry")))
