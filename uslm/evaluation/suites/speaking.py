"""Speaks what is to be judged, and keeps a record from which all can be judged again."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from uslm.tts import ZeroShotTTS
from uslm.voices.prompt import VoicePrompt
from uslm_tokenizer.audio.read import read_audio
from uslm_tokenizer.audio.write import write_audio
from uslm_tokenizer.config import from_dict
from uslm_tokenizer.errors import GenerationError, MissingResource

MANIFEST = "manifest.jsonl"
STAGES = ("frontend", "semantic", "acoustic", "decode", "verify")


@dataclass(frozen=True, kw_only=True)
class Line:
    """Something to be spoken."""

    name: str
    """What its sound file is called, without a suffix."""
    text: str
    prompt: Path
    """A recording of the voice."""
    prompt_text: str | None
    """What is said in the recording, where that is known."""
    voice: str
    """What the voice is called; lines of one voice have one prompt."""
    speaker: str
    """Whose voice it is, for the report."""


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
    tts: ZeroShotTTS, lines: Sequence[Line], folder: Path, *, seed: int, verify: bool = False
) -> list[Spoken]:
    """Each line as a WAV file; line i has the seed `seed + i`."""
    for name in ("wavs", "prompts"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    spoken: list[Spoken] = []
    voices: dict[str, VoicePrompt] = {}
    with (folder / MANIFEST).open("w", encoding="utf-8") as manifest:
        for line in lines:
            prompt_path = f"prompts/{line.voice}.wav"
            if line.voice not in voices:
                prompt = read_audio(line.prompt).resampled(tts.sample_rate)
                write_audio(folder / prompt_path, prompt.waveform, tts.sample_rate, force=True)
                voices[line.voice] = tts.create_voice(prompt, line.prompt_text, name=line.voice)
            one = Spoken(
                audio=f"wavs/{line.name}.wav",
                text=line.text,
                prompt=prompt_path,
                speaker=line.speaker,
                seed=seed + len(spoken),
            )
            one = _speak(tts, one, voices[line.voice], folder, verify=verify)
            manifest.write(json.dumps(asdict(one), ensure_ascii=False) + "\n")
            manifest.flush()
            spoken.append(one)
    return spoken


def _speak(
    tts: ZeroShotTTS, line: Spoken, voice: VoicePrompt, folder: Path, *, verify: bool
) -> Spoken:
    """Make the audio of a line, and fill in how it went."""
    waveform = torch.zeros(1, tts.sample_rate)
    try:
        speech = tts.generate(line.text, voice, seed=line.seed, verify=verify, any_language=True)
    except GenerationError as problem:
        line = replace(line, seconds=1.0, error=str(problem))
    else:
        waveform = speech.waveform
        line = replace(
            line,
            seconds=speech.seconds,
            timings=asdict(speech.timings),
            stop_reasons=tuple(segment.stop_reason for segment in speech.segments),
            attempts=max(segment.attempts for segment in speech.segments),
        )
    write_audio(folder / line.audio, waveform, tts.sample_rate, force=True)
    return line


def read_spoken(folder: Path) -> list[Spoken]:
    """Records that `speak_all` wrote. MissingResource where a file is gone."""
    path = folder / MANIFEST
    if not path.is_file():
        raise MissingResource(f"there is no {path}; run without --judge-only first")
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    spoken = [from_dict(Spoken, line) for line in lines]
    for each in spoken:
        for name in (each.audio, each.prompt):
            if not (folder / name).is_file():
                raise MissingResource(f"{path} names {name!r}, but there is no such file")
    return spoken


def waveform_at(path: Path, sample_rate: int) -> Float[Tensor, " n"]:
    """Samples of a file."""
    return read_audio(path).resampled(sample_rate).waveform[0]
