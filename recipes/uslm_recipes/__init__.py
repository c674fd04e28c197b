"""Training recipes: from a folder of recordings to a model that speaks."""
