"""Suites: speech and codes to be judged, what tokens hold and cost, and the tables of it."""
