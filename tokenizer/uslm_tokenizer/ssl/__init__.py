"""Semantic tokenizers: waveform to units that say what was spoken."""
