"""Held-out voices, recordings and sentences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

import torch

from uslm.evaluation.suites.speaking import Line
from uslm_recipes.data.recording import Recording, Rejected
from uslm_recipes.data.sources.manifest import read_manifest
from uslm_recipes.data.splits import split_of
from uslm_tokenizer.audio.read import Audio, read_audio
from uslm_tokenizer.errors import MissingResource, UserError

T = TypeVar("T")

OWN_SENTENCES = "own"
TEST_SENTENCES = "test"
MIN_WORDS = 4


def read_recordings(manifests: Sequence[Path]) -> list[Recording]:
    """All English recordings of the manifests; a line that cannot be read is an error."""
    recordings = []
    for manifest in manifests:
        for found in read_manifest(manifest):
            if isinstance(found, Rejected):
                raise UserError(f"{found.where}: {found.reason}")
            if found.language.startswith("en"):
                recordings.append(found)
    return recordings


def is_held_out(recording: Recording) -> bool:
    """Whether the speaker is one that `uslm-prepare` keeps out of every training."""
    return split_of(recording.speaker, recording.split) == "test"


@dataclass(frozen=True, kw_only=True)
class VoiceChoice:
    """A held-out speaker."""

    speaker: str
    prompt: Recording
    """What the voice is made from."""
    other: Recording | None
    """Another recording of the same speaker, where there is one."""


def choose_voices(
    recordings: Iterable[Recording],
    count: int,
    *,
    source: str,
    seconds: tuple[float, float],
    generator: torch.Generator,
) -> list[VoiceChoice]:
    """Held-out speakers of a source, and of each a recording of that length."""
    by_speaker: defaultdict[str, list[Recording]] = defaultdict(list)
    for recording in recordings:
        if recording.source == source and is_held_out(recording):
            by_speaker[recording.speaker].append(recording)
    choices = []
    for speaker in shuffled(sorted(by_speaker), generator):
        fitting = [r for r in by_speaker[speaker] if seconds[0] <= length(r) <= seconds[1]]
        if not fitting:
            continue
        prompt, *others = shuffled(fitting, generator)
        choices.append(
            VoiceChoice(speaker=speaker, prompt=prompt, other=others[0] if others else None)
        )
    if len(choices) < count:
        raise UserError(
            f"there must be {count} held-out voices of source {source!r} with a recording of "
            f"{seconds[0]:g} to {seconds[1]:g} s, but there are {len(choices)}; "
            "ask for fewer, or widen --prompt-seconds"
        )
    return choices[:count]


def pairs_of_one_speaker(
    recordings: Iterable[Recording], count: int, *, source: str, generator: torch.Generator
) -> list[tuple[Recording, Recording]]:
    """Two recordings each of so many real speakers: how alike one voice is to itself.

    Any speaker may serve, for the speaker model has seen none of them.
    """
    by_speaker: defaultdict[str, list[Recording]] = defaultdict(list)
    for recording in recordings:
        if recording.source == source:
            by_speaker[recording.speaker].append(recording)
    pairs = []
    for speaker in shuffled(sorted(by_speaker), generator):
        long = [r for r in by_speaker[speaker] if length(r) >= 3]
        if len(long) >= 2:
            first, second, *_ = shuffled(long, generator)
            pairs.append((first, second))
    return pairs[:count]


def lines(voices: Sequence[VoiceChoice], sentences: Sequence[str]) -> list[Line]:
    """Each sentence in each voice."""
    return [
        Line(
            name=f"{name}-{number:03d}",
            text=text,
            prompt=choice.prompt.audio,
            prompt_text=choice.prompt.text or None,
            voice=name,
            speaker=choice.speaker,
        )
        for choice in voices
        for name in [choice.speaker.replace("/", "-")]
        for number, text in enumerate(sentences)
    ]


def choose_clips(
    recordings: Iterable[Recording], count: int, *, generator: torch.Generator
) -> dict[str, list[Recording]]:
    """Held-out recordings with a text of at least four words, so many of each source."""
    by_source: defaultdict[str, list[Recording]] = defaultdict(list)
    for recording in recordings:
        if len(recording.text.split()) >= MIN_WORDS and is_held_out(recording):
            by_source[recording.source].append(recording)
    return {
        source: shuffled(found, generator)[:count] for source, found in sorted(by_source.items())
    }


def choose_sentences(
    texts: str, count: int, recordings: Sequence[Recording], *, generator: torch.Generator
) -> list[str]:
    """`own`: those that come with the recipe; `test`: texts of held-out recordings that no other
    recording has; else a file with a sentence on each line."""
    if texts == TEST_SENTENCES:
        seen = {r.text for r in recordings if not is_held_out(r)}
        held_out = {r.text for r in recordings if r.split == "test" and is_held_out(r)}
        found = [text for text in sorted(held_out - seen) if len(text.split()) >= MIN_WORDS]
        found = shuffled(found, generator)
    else:
        found = [line.strip() for line in _sentence_lines(texts) if line.strip()]
    if len(found) < count:
        raise UserError(f"there must be {count} sentences in {texts!r}, but there are {len(found)}")
    return found[:count]


def _sentence_lines(texts: str) -> list[str]:
    if texts == OWN_SENTENCES:
        resource = files("uslm_recipes") / "evaluating" / "sentences.txt"
        return resource.read_text("utf-8").splitlines()
    path = Path(texts)
    if not path.is_file():
        raise MissingResource(f"there is no text file {texts!r}, nor is it 'own' or 'test'")
    return path.read_text("utf-8").splitlines()


def length(recording: Recording) -> float:
    """Seconds of a recording. MissingResource if the file is gone."""
    import soundfile

    if not recording.audio.is_file():
        raise MissingResource(f"{recording.where}: there is no file {str(recording.audio)!r}")
    return float(soundfile.info(str(recording.audio)).duration)


def read_recording(recording: Recording, sample_rate: int) -> Audio:
    """The recording at a rate."""
    return read_audio(recording.audio).resampled(sample_rate)


def shuffled(items: Sequence[T], generator: torch.Generator) -> list[T]:
    """The items in an order that is drawn."""
    return [items[i] for i in torch.randperm(len(items), generator=generator).tolist()]
