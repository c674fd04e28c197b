"""`uslm voice ...`: voices and their files, a file for each command."""
