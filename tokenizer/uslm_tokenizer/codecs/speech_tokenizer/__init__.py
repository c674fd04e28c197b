"""SpeechTokenizer (Zhang et al. 2023), and DM-Codec, which is laid out alike."""
