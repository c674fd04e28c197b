"""Recordings: told apart, decoded, encoded, read and written."""
