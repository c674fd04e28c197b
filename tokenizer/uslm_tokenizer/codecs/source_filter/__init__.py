"""Units, pitch and residual codes of mel frames; a source and its filters make the waveform."""
