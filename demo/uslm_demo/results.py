"""A result on its way to the page: files to download."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from uslm.output.speech import Speech
from uslm.output.subtitles import to_srt
from uslm_demo.widgets.sounds import Sound
from uslm_tokenizer.audio.write import write_audio


@dataclass(frozen=True, kw_only=True)
class Files:
    """Files that can be downloaded."""

    wav: Path
    json: Path
    """What was asked, how it went, what is needed to repeat it."""
    srt: Path
    """When each segment is said."""


@contextmanager
def result_files(speech: Speech) -> Iterator[Files]:
    """The speech and what belongs to it, in a folder that is gone when the block ends."""
    with tempfile.TemporaryDirectory(prefix="uslm-") as folder:
        stem = Path(folder) / f"uslm-{speech.seed}"
        files = Files(
            wav=stem.with_suffix(".wav"),
            json=stem.with_suffix(".json"),
            srt=stem.with_suffix(".srt"),
        )
        speech.save(files.wav)
        files.json.write_text(speech.to_json(), "utf-8")
        files.srt.write_text(to_srt(speech.segments), "utf-8")
        yield files


@contextmanager
def unfinished_file(sound: Sound) -> Iterator[Path]:
    """A WAV file of what there is of a sound, in a folder that is gone when the block ends."""
    with tempfile.TemporaryDirectory(prefix="uslm-") as folder:
        path = Path(folder) / "uslm-unfinished.wav"
        write_audio(path, sound.waveform(), sound.sample_rate)
        yield path
