"""VALL-E (Wang et al. 2023) and USLM, which is the same network over SpeechTokenizer's codes."""
