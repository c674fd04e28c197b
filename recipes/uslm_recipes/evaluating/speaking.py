"""Speaks every sentence in every voice, and keeps a record from which all can be judged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch

from uslm.pipeline.prompt import VoicePrompt
from uslm.pipeline.tts import ZeroShotTTS
from uslm_recipes.evaluating.held_out import VoiceChoice, listen
from uslm_tokenizer.audio import read_audio
from uslm_tokenizer.audio_write import write_audio
from uslm_tokenizer.errors import GenerationError, MissingResource

MANIFEST = "manifest.jsonl"
STAGES = ("frontend", "semantic", "acoustic", "decode", "verify")


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """One line of the manifest."""

    audio: str
    """Relative to the manifest."""
    text: str
    prompt: str
    """The recording that the voice is of, relative to the manifest."""
    speaker: str
    seed: int
    seconds: float = 0.0
    timings: dict[str, float] = field(default_factory=dict)
    """Seconds by stage, as in Speech.timings."""
    stop_reasons: tuple[str, ...] = ()
    attempts: int = 1
    error: str = ""
    """Why there is only silence; such an utterance counts with all its words wrong."""


def speak_all(
    tts: ZeroShotTTS,
    voices: Sequence[VoiceChoice],
    sentences: Sequence[str],
    folder: Path,
    *,
    seed: int,
    verify: bool = False,
) -> list[Spoken]:
    """Each sentence in each voice, as WAV files; utterance i of the run has the seed `seed + i`."""
    for name in ("wavs", "prompts"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    spoken: list[Spoken] = []
    with (folder / MANIFEST).open("w", encoding="utf-8") as manifest:
        for choice in voices:
            name = choice.speaker.replace("/", "-")
            prompt = listen(choice.prompt, tts.sample_rate)
            prompt_path = f"prompts/{name}.wav"
            write_audio(folder / prompt_path, prompt.waveform, tts.sample_rate, force=True)
            voice = tts.create_voice(prompt, choice.prompt.text or None, name=name)
            for number, text in enumerate(sentences):
                line = Spoken(
                    audio=f"wavs/{name}-{number:03d}.wav",
                    text=text,
                    prompt=prompt_path,
                    speaker=choice.speaker,
                    seed=seed + len(spoken),
                )
                line = _speak(tts, line, voice, folder, verify=verify)
                manifest.write(json.dumps(asdict(line), ensure_ascii=False) + "\n")
                manifest.flush()
                spoken.append(line)
    return spoken


def _speak(
    tts: ZeroShotTTS, line: Spoken, voice: VoicePrompt, folder: Path, *, verify: bool
) -> Spoken:
    """Make the audio of a line, and fill in how it went."""
    waveform = torch.zeros(1, tts.sample_rate)
    try:
        speech = tts.generate(line.text, voice, seed=line.seed, verify=verify)
    except GenerationError as problem:
        line = replace(line, seconds=1.0, error=str(problem))
    else:
        waveform = speech.waveform
        line = replace(
            line,
            seconds=speech.seconds,
            timings=asdict(speech.timings),
            stop_reasons=tuple(chunk.stop_reason for chunk in speech.chunks),
            attempts=max(chunk.attempts for chunk in speech.chunks),
        )
    write_audio(folder / line.audio, waveform, tts.sample_rate, force=True)
    return line


def read_spoken(folder: Path) -> list[Spoken]:
    """What `speak_all` wrote. MissingResource where a file is gone."""
    path = folder / MANIFEST
    if not path.is_file():
        raise MissingResource(f"there is no {path}; run without --judge-only first")
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    spoken = [Spoken(**line) for line in lines]
    for each in spoken:
        for name in (each.audio, each.prompt):
            if not (folder / name).is_file():
                raise MissingResource(f"{path} names {name!r}, but there is no such file")
    return spoken


def waveform_at(path: Path, sample_rate: int) -> torch.Tensor:
    """Samples of a file, [n]."""
    return read_audio(path).resampled(sample_rate).waveform[0]
