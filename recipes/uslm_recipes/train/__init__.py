"""The training recipes, one readable script a model, and what several of them share."""
