"""DualSpeechLM: a language model reads units it understands, and answers in text and speech."""
