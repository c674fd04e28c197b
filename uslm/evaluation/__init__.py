"""Measures of speech; each is a function of arrays, and whoever judges is passed in."""
