"""F0 as tokens: how high a voice is, and nothing else of it."""
