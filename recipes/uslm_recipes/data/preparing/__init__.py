"""A corpus is made: in one run, or in shards by many machines."""
