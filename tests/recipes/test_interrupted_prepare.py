"""What goes wrong while a corpus is made: it is told, and nothing that was done is lost."""

from __future__ import annotations

import errno
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from uslm_recipes.data import decoding, examine
from uslm_recipes.data.audio_files import AudioLimits, read_samples
from uslm_recipes.data.augment.perturb import Perturbation
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.corpus_writer import CorpusWriter
from uslm_recipes.data.preparing.run import PrepareConfig, Report, prepare
from uslm_recipes.data.recording import Found, Recording, Segment
from uslm_tokenizer.errors import EnvironmentProblem, UserError

NUMBER = 12


class NoPhonemes:
    """A front end that is as quick as none."""

    def phonemize(self, texts: Sequence[str]) -> list[str]:
        return ["" for _ in texts]

    def encode(self, phonemes: str) -> list[int]:
        return []


@pytest.fixture
def recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Recording]:
    """Some that differ from each other, to be gone through three at a time."""
    monkeypatch.setattr(examine, "SLICE", 3)
    found: list[Recording] = []
    for i in range(NUMBER):
        path = tmp_path / f"{i}.wav"
        tone = 0.3 * np.sin(np.arange(8000 + 320 * i) * 0.05)
        soundfile.write(path, tone, 16_000)
        found.append(
            Recording(where=str(path), audio=path, id=str(i), source="s", speaker=f"s/{i}")
        )
    return found


def make(found: Iterable[Found], out: Path, **config: Any) -> Report:
    settings = PrepareConfig(**{"num_workers": 0, **config})
    return prepare(found, out, settings, front_end=NoPhonemes())


def until(found: list[Recording], number: int, end: BaseException) -> Iterator[Found]:
    """The first ones, and then the end of the run."""
    yield from found[:number]
    raise end


@pytest.mark.parametrize("stopped_at", [1, 4, 7, 11])
def test_an_interrupted_run_goes_on_and_ends_the_same(
    tmp_path: Path, recordings: list[Recording], stopped_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings[0] = replace(recordings[0], audio=tmp_path / "missing.wav")
    make(recordings, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        make(until(recordings, stopped_at, KeyboardInterrupt()), tmp_path / "corpus")
    assert not (tmp_path / "corpus").exists()
    decoded: list[Path] = []

    def read(path: Path, limits: AudioLimits, segment: Segment | None) -> NDArray[np.int16]:
        decoded.append(path)
        return read_samples(path, limits, segment)

    monkeypatch.setattr(decoding, "read_samples", read)
    report = make(recordings, tmp_path / "corpus")
    assert report.reasons == {"no such file": 1}
    assert len(decoded) == NUMBER - stopped_at // 3 * 3  # only what was not done
    whole, corpus = Corpus.open(tmp_path / "whole"), Corpus.open(tmp_path / "corpus")
    assert whole.headers == corpus.headers
    assert not list(tmp_path.glob(".*"))


def test_a_run_that_was_killed_while_it_wrote_goes_on(
    tmp_path: Path, recordings: list[Recording]
) -> None:
    make(recordings, tmp_path / "whole")
    part, seen = tmp_path / ".corpus.part", tmp_path / "seen"

    def killed() -> Iterator[Found]:
        yield from recordings[:7]
        shutil.copytree(part, seen)  # what the disk has when the run is killed here
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(killed(), tmp_path / "corpus")
    shutil.rmtree(part)
    seen.rename(part)
    for path in part.glob("*.*"):
        if path.name != "state.json":  # and half an utterance more than was committed
            path.write_bytes(path.read_bytes() + b"{half")
    report = make(recordings, tmp_path / "corpus")
    assert 0 < report.hours_done < report.summary.hours
    assert Corpus.open(tmp_path / "whole").headers == Corpus.open(tmp_path / "corpus").headers


def test_other_settings_begin_anew_and_other_sources_are_told(
    tmp_path: Path, recordings: list[Recording]
) -> None:
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            make(until(recordings, 7, KeyboardInterrupt()), tmp_path / "corpus")
        with pytest.raises(UserError, match="the sources are not those"):
            make(recordings[1:], tmp_path / "corpus")
    with pytest.raises(KeyboardInterrupt):
        make(until(recordings, 7, KeyboardInterrupt()), tmp_path / "corpus")
    report = make(recordings, tmp_path / "corpus", audio=AudioLimits(max_seconds=0.55))
    assert report.summary.utterances == 3 and report.summary.rejected == NUMBER - 3


def test_two_runs_cannot_make_one_folder(tmp_path: Path, recordings: list[Recording]) -> None:
    with (
        CorpusWriter(tmp_path / "corpus", sample_rate=16_000),
        pytest.raises(UserError, match="another run is making"),
    ):
        make(recordings, tmp_path / "corpus")


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="stops processes")
def test_a_killed_run_holds_nothing_and_leaves_nobody_behind(
    tmp_path: Path, recordings: list[Recording]
) -> None:
    out = tmp_path / "corpus"
    script = Path(__file__).with_name("killed_prepare.py")
    command = [sys.executable, str(script), str(out), *(str(each.audio) for each in recordings)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        workers = [int(pid) for pid in process.stdout.readline().split()[1:]]
        assert len(workers) == 2
        for pid in workers:  # as if in the middle of something long
            os.kill(pid, signal.SIGSTOP)
        process.kill()
        process.wait()
        try:
            report = make(recordings, out)
        finally:
            for pid in workers:
                os.kill(pid, signal.SIGCONT)
        # Whoever is left still has the other end, so that there is no end to be read.
        ended, _, _ = select.select([process.stdout], [], [], 30)
        for pid in workers:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert ended and process.stdout.read() == ""
    assert report.summary.utterances == NUMBER and report.hours_done == 0


def test_a_run_killed_while_it_replaces_a_corpus_loses_none(
    tmp_path: Path, recordings: list[Recording]
) -> None:
    out = tmp_path / "corpus"
    make(recordings, out)
    out.rename(tmp_path / ".corpus.old")
    with pytest.raises(RuntimeError):
        make(until(recordings, 7, RuntimeError()), out)
    assert len(Corpus.open(out)) == NUMBER


def test_a_full_disk_is_told_and_what_was_written_is_kept(
    tmp_path: Path, recordings: list[Recording], monkeypatch: pytest.MonkeyPatch
) -> None:
    make(recordings, tmp_path / "whole")
    fsync, room = os.fsync, iter([None] * 7)

    def full(file: int) -> None:
        if next(room, file) is not None:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(file)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EnvironmentProblem, match=r"disk of .* is full; 6 utterances are kept"):
        make(recordings, tmp_path / "corpus")
    monkeypatch.setattr(os, "fsync", fsync)
    report = make(recordings, tmp_path / "corpus")
    assert 0 < report.hours_done < report.summary.hours
    assert Corpus.open(tmp_path / "whole").headers == Corpus.open(tmp_path / "corpus").headers


class Deadly(type(Path())):  # type: ignore[misc]
    """The process that receives this path is killed, as by the system for want of memory."""

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, ("__import__('os').kill(__import__('os').getpid(), 9)",)


def test_a_file_that_kills_its_worker_is_left_out(
    tmp_path: Path, recordings: list[Recording]
) -> None:
    for i in (4, 6):
        recordings[i] = replace(recordings[i], audio=Deadly(tmp_path / f"{i}.wav"))
    report = make(recordings, tmp_path / "corpus", num_workers=1)
    assert report.reasons == {"it kills the process that decodes it": 2}
    assert [each.id for each in Corpus.open(tmp_path / "corpus")] == [
        str(i) for i in range(NUMBER) if i not in (4, 6)
    ]


def test_workers_that_are_always_killed_end_the_run(
    tmp_path: Path, recordings: list[Recording]
) -> None:
    every = [replace(each, audio=Deadly(tmp_path / "x.wav")) for each in recordings]
    with pytest.raises(EnvironmentProblem, match="every worker is killed"):
        make(every, tmp_path / "corpus", num_workers=1)


def test_some_missing_files_are_told_and_the_rest_is_there(
    tmp_path: Path, recordings: list[Recording]
) -> None:
    (tmp_path / "5.wav").unlink()
    report = make(recordings, tmp_path / "corpus")
    assert report.reasons == {"no such file": 1}
    assert report.summary.utterances == NUMBER - 1 and report.summary.rejected == 1


def test_copies_are_new_speakers_to_train_on(tmp_path: Path, recordings: list[Recording]) -> None:
    kept_out = Recording(
        where="", audio=tmp_path / "0.wav", id="t", source="s", speaker="t", split="test"
    )
    found = [kept_out, recordings[3], recordings[4]]
    copies = (Perturbation(speed=0.5), Perturbation(semitones=12))
    make(iter(found), tmp_path / "corpus", copies=copies)
    corpus = Corpus.open(tmp_path / "corpus")
    assert [(each.speaker, each.split) for each in corpus] == [
        ("t", "test"),
        *((f"s/{i}{mark}", "train") for i in (3, 4) for mark in ("", "#speed0.5", "#pitch+12")),
    ]
    length, half, same = corpus.num_samples[1:4]
    assert (half, same) == (2 * length, length)
    pitch = [_frequency(corpus.waveform(i).numpy()) for i in (1, 2, 3)]
    assert pitch[1] == pytest.approx(pitch[0] / 2, rel=0.01)
    assert pitch[2] == pytest.approx(pitch[0] * 2, rel=0.01)


def _frequency(waveform: NDArray[np.float32]) -> float:
    """Of the loudest part of the spectrum, as a share of the sample rate."""
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform)), 2**16))
    return float(spectrum.argmax() / 2**16)


@pytest.mark.parametrize(("speed", "semitones"), [(0.1, 0), (3, 0), (1, 13)])
def test_copies_are_within_reason(speed: float, semitones: float) -> None:
    with pytest.raises(UserError, match="must be in"):
        Perturbation(speed, semitones)
