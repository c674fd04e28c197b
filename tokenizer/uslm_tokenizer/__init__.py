"""Speech tokenizers: waveforms to discrete tokens and back."""
