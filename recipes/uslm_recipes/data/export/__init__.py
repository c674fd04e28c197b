"""A corpus is written in the layouts of others."""
