"""The command line: `uslm` and `uslm-tts`."""
