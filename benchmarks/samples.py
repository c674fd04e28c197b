#!/usr/bin/env python3
"""The samples of the documentation: sentences in several voices, beside the voices' recordings.

    python benchmarks/samples.py

`sample_voices.jsonl` has a line for each voice: {"name", "audio", "licence", "source"}. They are
the first six of LibriSpeech's readers that are held out (those whose number is divisible by 5),
each with the first recording of 4 to 8 seconds: no part of the model was trained on them. Sentence
i is spoken in voice i % (number of voices), with seed i, and drawn once: none was chosen. Writes
small Opus files and the page that plays them.
"""

from __future__ import annotations

import argparse
import html
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from uslm.tts import ZeroShotTTS
from uslm.voices.names import is_voice_name
from uslm.voices.prompt import VoicePrompt
from uslm_tokenizer.audio.read import read_audio
from uslm_tokenizer.audio.write import write_audio
from uslm_tokenizer.config import from_dict

ROOT = Path(__file__).parent.parent
PAGE = "index.md"
VOICES = Path(__file__).parent / "sample_voices.jsonl"
PROMPT_SECONDS = 8.0
"""Of a recording that is played: a longer one is cut there."""
SENTENCES = (
    "The harbour was quiet, and only the gulls were awake.",
    "Could you tell me which platform the train to Lisbon leaves from?",
    "She counted seventeen lanterns along the river, and then the bridge.",
    "I have never understood why the kettle sings before it boils.",
    "On the third of May, at a quarter past nine, the doors will open.",
    "Please put the letters on the table, and the keys beside them.",
    "What a splendid morning to walk through the old orchard!",
    "The museum keeps a small collection of clocks, none of which agree.",
    "He opened the window, listened for a while, and closed it again.",
    "Would anybody mind if we moved the meeting to Thursday?",
    "Snow had fallen overnight, so the village looked freshly painted.",
    "Thank you for waiting; your order will be ready in five minutes.",
)


@dataclass(frozen=True, kw_only=True)
class VoiceLine:
    """A voice of the page."""

    name: str
    """What it is called there, and its files."""
    audio: str
    """The recording; a path beside the list, or an absolute one."""
    licence: str
    """Under which it may be published."""
    source: str
    """Where it is from: the corpus, and the speaker's name in it."""


def main(arguments: Sequence[str]) -> int:
    given = parser().parse_args(arguments)
    voices = read_voices(given.voices)
    tts = ZeroShotTTS.from_pretrained(given.model)
    given.out.mkdir(parents=True, exist_ok=True)
    made: list[VoicePrompt] = []
    for line in voices:
        recording = read_audio(given.voices.parent / line.audio, max_seconds=PROMPT_SECONDS)
        write(given.out / f"{line.name}.opus", recording.resampled(tts.sample_rate).waveform, tts)
        made.append(tts.create_voice(recording, name=line.name))
    for number, text in enumerate(given.sentences):
        speech = tts.generate(text, made[number % len(made)], seed=number)
        write(given.out / f"{number + 1:02d}.opus", speech.waveform, tts)
        print(f"{number + 1}/{len(given.sentences)}", file=sys.stderr)
    facts = f"{tts.synthesizer.settings.name}, weights {tts.synthesizer.hash}"
    (given.out / PAGE).write_text("\n".join(page(voices, given.sentences, facts)) + "\n", "utf-8")
    return 0


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--voices", type=Path, default=VOICES, help="JSON lines: name, audio, licence, source")
    add("--model", default="default", help="name or folder of the model")
    add("--sentences", nargs="+", default=list(SENTENCES), help="what is said")
    add("--out", type=Path, default=ROOT / "docs" / "samples", help="folder of page and sounds")
    return parser


def read_voices(path: Path) -> list[VoiceLine]:
    """The list, each name a file's name and there once."""
    lines = [line for line in path.read_text("utf-8").splitlines() if line.strip()]
    voices = [from_dict(VoiceLine, json.loads(line), where=str(path)) for line in lines]
    names = [voice.name for voice in voices]
    if not voices or len(set(names)) < len(names) or not all(map(is_voice_name, names)):
        raise SystemExit(f"{path}: voices must have names of their own, fit for files: {names}")
    return voices


def write(path: Path, waveform: torch.Tensor, tts: ZeroShotTTS) -> None:
    """A small Opus file."""
    write_audio(path, waveform, tts.sample_rate, format="opus", force=True)


def page(voices: Sequence[VoiceLine], sentences: Sequence[str], facts: str) -> Iterator[str]:
    """Markdown with a player for each file."""
    yield "# Samples\n"
    yield (
        f"{len(sentences)} sentences in {len(voices)} voices that the model was not trained on, "
        f"spoken by the default model ({facts}). Sentence *i* has seed *i* - 1 and was drawn once: "
        "none was chosen. Made by `python benchmarks/samples.py`.\n"
    )
    for place, voice in enumerate(voices):
        yield f"## {voice.name}\n"
        yield f"Prompt ({voice.source}, {voice.licence}):\n\n{player(voice.name)}\n"
        for number in range(place, len(sentences), len(voices)):
            yield f"*{html.escape(sentences[number])}*\n\n{player(f'{number + 1:02d}')}\n"


def player(name: str) -> str:
    """Plays a file beside the page."""
    return f'<audio controls preload="none" src="{name}.opus"></audio>'


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
