"""Model cards: written from what was measured and logged, never by hand."""
