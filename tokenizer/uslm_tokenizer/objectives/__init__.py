"""Objectives of tokenizers: losses of waveforms and features, and their weights."""
