"""Manifests: what they say of each utterance, and what is refused."""

# ruff: noqa: RUF001 (phonemes look like other characters)

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from uslm.evaluation.suites.encoded import frame_labels
from uslm.evaluation.suites.made_speech import made_speech
from uslm.evaluation.suites.speech_set import (
    LabelledSpeech,
    Segment,
    label_kinds,
    read_manifest,
    to_segments,
    to_symbols,
    vocabulary,
)
from uslm_tokenizer.audio.write import write_audio
from uslm_tokenizer.errors import MissingResource, UserError


def write_manifest(folder: Path, rows: list[dict[str, Any]]) -> Path:
    for number, row in enumerate(rows):
        row.setdefault("audio", f"{number}.wav")
        if not (folder / row["audio"]).exists():
            noise = torch.rand(1, int(16_000 * row.get("seconds", 1.0))) * 0.1
            write_audio(folder / row["audio"], noise, 16_000)
    path = folder / "speech.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_times_belong_to_phonemes() -> None:
    """Stress to what follows, length to what precedes, punctuation to silence."""
    segments = to_segments("ˈaː, b", [0.1, 0.01, 0.2, 0.1, 0.05, 0.05, 0.3, 0.02])
    assert [s.symbol for s in segments] == ["sil", "a", "sil", "b", "sil"]
    assert [round(s.end, 3) for s in segments] == [0.1, 0.41, 0.51, 0.81, 0.83]
    assert all(a.end == b.start for a, b in pairwise(segments))
    assert to_symbols("ˈaː, b") == ("a", "b")
    with pytest.raises(UserError, match="must be 8"):
        to_segments("ˈaː, b", [0.1])


def test_frames_get_the_phoneme_of_their_time() -> None:
    speech = LabelledSpeech(
        name="x",
        waveform=torch.zeros(1, 3200),
        segments=(
            Segment(symbol="sil", start=0.0, end=0.04),
            Segment(symbol="b", start=0.04, end=0.1),
            Segment(symbol="a", start=0.1, end=0.16),
        ),
    )
    assert frame_labels(speech, 10, 50.0, ("a", "b")).tolist() == [0, 0, 2, 2, 2, 1, 1, 1, 0, 0]
    assert frame_labels(speech, 4, 25.0, ("a",)).tolist() == [0, 0, 1, 1]


def test_whole_speakers_are_drawn_and_kept_apart(tmp_path: Path) -> None:
    rows = [{"speaker": f"s{i // 4}", "seconds": 1.0, "text": "x"} for i in range(40)]
    rows[0] |= {"labels": {"gender": "female"}, "language": "en"}
    speech = read_manifest(write_manifest(tmp_path, rows), num_train=20, num_test=8)
    train, test = (
        {each.labels["speaker"] for each in part} for part in (speech.train, speech.test)
    )
    assert len(speech.train) == 20 and len(speech.test) == 8 and not train & test
    assert len(train) == 5, "all of a speaker before the next"
    again = read_manifest(tmp_path / "speech.jsonl", num_train=20, num_test=8)
    assert [each.name for each in again.train] == [each.name for each in speech.train]
    assert "speaker" in label_kinds(speech)


def test_a_split_is_obeyed_and_lengths_are(tmp_path: Path) -> None:
    rows = [
        {"split": "train", "seconds": 1.0, "labels": {"gender": "male"}},
        {"split": "test", "seconds": 1.0},
        {"split": "train", "seconds": 3.0},
        {"split": "unknown", "seconds": 1.0},
    ]
    speech = read_manifest(write_manifest(tmp_path, rows), num_train=9, num_test=9, max_seconds=2.0)
    assert [each.name for each in speech.train] == ["0.wav"]
    assert speech.train[0].labels == {"gender": "male"}
    assert [each.name for each in speech.test] == ["1.wav"]


def test_bad_manifests_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingResource, match=r"gone\.jsonl"):
        read_manifest(tmp_path / "gone.jsonl", num_train=1, num_test=1)
    path = tmp_path / "bad.jsonl"
    for text, words in (("{", "line 1, is not JSON"), ("[]", "with 'audio'")):
        path.write_text(text)
        with pytest.raises(UserError, match=words):
            read_manifest(path, num_train=1, num_test=1)
    path.write_text('{"audio": "gone.wav"}')
    with pytest.raises(MissingResource, match=r"gone\.wav"):
        read_manifest(path, num_train=1, num_test=1)


def test_made_speech_is_what_it_says() -> None:
    one, other = (made_speech(num_train=7, num_test=2, num_phonemes=4) for _ in range(2))
    assert torch.equal(one.train[3].waveform, other.train[3].waveform)
    for each in (*one.train, *one.test):
        spoken = [s.symbol for s in each.segments if s.symbol != "sil"]
        assert tuple(spoken) == each.phonemes and len(spoken) == 4
        assert each.segments[-1].end < each.seconds < each.segments[-1].end + 0.11
    speakers = [{each.labels["speaker"] for each in rows} for rows in (one.train, one.test)]
    assert len(speakers[0]) == 2 and not speakers[0] & speakers[1]
    assert set(vocabulary(one.train)) <= set("aiueomlrsfhx")
