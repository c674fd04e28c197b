"""Draws docs/speech.png, the picture of the README: a real run of the default model."""

from pathlib import Path

from uslm import ZeroShotTTS
from uslm_demo.pictures import draw_speech

HERE = Path(__file__).parent
TEXT = "The house is built, and now it speaks."

tts = ZeroShotTTS.from_pretrained("default")
voice = tts.create_voice(HERE.parent / "examples" / "voice_low.wav")
draw_speech(
    tts.generate(TEXT, voice, seed=1),
    voice,
    HERE / "speech.png",
    tokenizer=tts.synthesizer.tokenizer,
)
