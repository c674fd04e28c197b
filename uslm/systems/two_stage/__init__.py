"""The default system: text to units, units to codes; its folder, its stages, its work."""
