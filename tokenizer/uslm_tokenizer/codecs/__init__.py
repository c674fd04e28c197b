"""Acoustic tokenizers: codes from which the waveform can be rebuilt."""
