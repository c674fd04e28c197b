"""`uslm bench`: speed and memory of a model on this machine."""
