"""Systems that speak and convert, a folder each: none knows another, and registry.py lists them.

A folder holds `entry.py`, by which the rest finds it: its models, and, where others published it,
its files, the key mappings of its checkpoints and the functions that load a converted folder.
"""
