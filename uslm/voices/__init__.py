"""Voices to speak with: made from recordings, checked, kept, heard again."""
