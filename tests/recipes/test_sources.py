"""Each published layout is told by what is there, and read with its texts, speakers and splits."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from uslm_recipes.data.audio_files import AudioLimits, read_samples
from uslm_recipes.data.recording import Recording, Rejected
from uslm_recipes.data.sources.registry import SOURCES, detect, open_source
from uslm_tokenizer.errors import EnvironmentProblem, MissingResource, UserError

RATE = 16_000


def sound(path: Path, seconds: float = 0.5) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.3 * np.sin(np.arange(round(seconds * RATE)) * 0.05), RATE)
    return path


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def read(place: Path | str, name: str) -> tuple[list[Recording], list[Rejected]]:
    """What the layout `name` holds, which must be told without being named."""
    assert detect(str(place)) == name
    found = list(open_source(str(place)))
    return (
        [each for each in found if isinstance(each, Recording)],
        [each for each in found if isinstance(each, Rejected)],
    )


def test_librispeech(tmp_path: Path) -> None:
    for chapter in ("train-clean-100/103/1240", "dev-other/84/1"):
        speaker, number = chapter.split("/")[1:]
        folder = tmp_path / "LibriSpeech" / chapter
        sound(folder / f"{speaker}-{number}-0000.flac")
        text(folder / f"{speaker}-{number}.trans.txt", f"{speaker}-{number}-0000 CHAPTER ONE\n")
    text(folder / "84-1.trans.txt", "84-1-0000 CHAPTER ONE\n84-1-0001 GONE\n")
    for root in (tmp_path, tmp_path / "LibriSpeech"):
        good, bad = read(root, "librispeech")
        facts = [(each.id, each.speaker, each.split, each.text) for each in good]
        assert sorted(facts) == [
            ("ls/dev-other/84-1-0000", "ls/84", "valid", "CHAPTER ONE"),
            ("ls/train-clean-100/103-1240-0000", "ls/103", "train", "CHAPTER ONE"),
        ]
        assert [each.audio for each in bad] == ["84-1-0001"]
    assert len(read(tmp_path / "LibriSpeech/train-clean-100", "librispeech")[0]) == 1


def test_libritts_speakers_are_those_of_librispeech(tmp_path: Path) -> None:
    folder = tmp_path / "LibriTTS/test-clean/103/1241"
    for number in (1, 2):
        sound(folder / f"103_1241_000000_00000{number}.wav")
    text(folder / "103_1241_000000_000001.normalized.txt", "Doctor Who.")
    text(folder / "103_1241_000000_000001.original.txt", "Dr. Who.")
    text(folder / "103_1241.trans.tsv", "103_1241_000000_000002\tMr. X.\tMister X.\n")
    good, bad = read(tmp_path / "LibriTTS", "librispeech")
    assert [each.text for each in good] == ["Doctor Who.", "Mister X."] and not bad
    assert {(each.source, each.speaker, each.split) for each in good} == {
        ("libritts", "ls/103", "test")
    }


@pytest.mark.parametrize(
    ("folder", "ending"), [("wav48_silence_trimmed", "_mic1.flac"), ("wav48", ".wav")]
)
def test_vctk(tmp_path: Path, folder: str, ending: str) -> None:
    sound(tmp_path / folder / "p225" / f"p225_001{ending}")
    sound(tmp_path / folder / "p315" / f"p315_001{ending}")
    if "mic" in ending:
        sound(tmp_path / folder / "p225" / "p225_001_mic2.flac")
    text(tmp_path / "txt/p225/p225_001.txt", "Please call Stella.\n")
    text(tmp_path / "txt/p225/p225_002.txt", "Ask her.\n")
    text(tmp_path / "speaker-info.txt", "ID AGE GENDER ACCENTS\n225 23 F English\np300 9 M\n")
    good, bad = read(tmp_path, "vctk")
    assert [dict(each.labels) for each in good] == [{"gender": "female"}, {}]
    assert [(e.id, e.speaker, e.text) for e in good] == [
        ("vctk/p225/p225_001", "vctk/p225", "Please call Stella."),
        ("vctk/p315/p315_001", "vctk/p315", ""),
    ]
    assert [each.audio for each in bad] == ["p225_002"]


def test_ljspeech(tmp_path: Path) -> None:
    root = tmp_path / "LJSpeech-1.1"
    sound(root / "wavs/LJ001-0001.wav")
    text(root / "metadata.csv", 'LJ001-0001|He said "5"|He said "five"\nLJ001-0002|x|x\n')
    good, bad = read(root, "ljspeech")
    assert [(each.speaker, each.text) for each in good] == [("LJSpeech-1.1", 'He said "five"')]
    assert [each.where for each in bad] == ["LJSpeech-1.1/metadata.csv:2"]


def test_common_voice(tmp_path: Path) -> None:
    header = "client_id\tpath\tsentence_id\tsentence\tup_votes\tlocale\tgender\n"
    rows = ['a\tx1.mp3\t1\tShe said "no\n', "b\tx2.mp3\t2\tYes\n", "b\t\t3\tNo\n"]
    said = ("male_masculine", "do_not_wish_to_say", "")
    rows = [row.replace("\n", f"\t2\tde\t{g}\n") for row, g in zip(rows, said, strict=True)]
    text(tmp_path / "cv/de/validated.tsv", header + "".join(rows))
    text(tmp_path / "cv/de/test.tsv", header + rows[1])
    sound(tmp_path / "cv/de/clips/x1.mp3")
    for root in (tmp_path / "cv", tmp_path / "cv/de"):
        good, bad = read(root, "common-voice")
        assert [(e.id, e.speaker, e.language, e.split, e.text) for e in good] == [
            ("cv/de/x1", "cv/a", "de", None, 'She said "no'),
            ("cv/de/x2", "cv/b", "de", "test", "Yes"),
        ]
        assert [dict(each.labels) for each in good] == [{"gender": "male"}, {}]
        assert [each.where for each in bad] == ["de/validated.tsv:4"]
    assert len(read_samples(good[0].audio, AudioLimits())) == RATE // 2


def test_gigaspeech(tmp_path: Path) -> None:
    times = np.arange(3 * RATE)
    path = tmp_path / "audio/podcast/P0000/POD1.opus"
    path.parent.mkdir(parents=True)
    soundfile.write(
        path,
        np.where(times < RATE, 0.0, 0.3 * np.sin(times * 0.05)),
        RATE,
        format="OGG",
        subtype="OPUS",
    )
    segments = [
        {"sid": "POD1_S1", "speaker": "N/A", "begin_time": 1.0, "end_time": 2.5,
         "text_tn": "AS IT IS <COMMA> YES <PERIOD>", "subsets": ["{XL}", "{DEV}"]},
        {"sid": "POD1_S2", "begin_time": 0.0, "end_time": 1.0, "text_tn": "<SIL>"},
        {"sid": "POD1_S3", "begin_time": 2.0, "end_time": 1.0, "text_tn": "BACK"},
        {"sid": "POD1_S4", "speaker": "ann", "begin_time": 2.5, "end_time": 9.0, "text": "end"},
    ]  # fmt: skip
    audio = {"aid": "POD1", "path": str(path.relative_to(tmp_path)), "segments": segments}
    text(tmp_path / "GigaSpeech.json", json.dumps({"language": "EN", "audios": [audio]}))
    good, bad = read(tmp_path, "gigaspeech")
    assert [(e.id, e.speaker, e.split, e.text) for e in good] == [
        ("gigaspeech/POD1_S1", "gigaspeech/POD1", "valid", "AS IT IS, YES."),
        ("gigaspeech/POD1_S4", "gigaspeech/ann", None, "end"),
    ]
    assert [each.where.split("_")[-1] for each in bad] == ["S2", "S3"]
    first, last = (read_samples(each.audio, AudioLimits(), each.segment) for each in good)
    assert len(first) == RATE * 1.5 and np.abs(first[:RATE]).max() > 3000
    assert len(last) == RATE * 0.5 // 320 * 320


def test_webdataset(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "shard-000.tar", "w") as archive:
        for name, data in {
            "a/1.flac": sound(tmp_path / "x.flac", 0.6).read_bytes(),
            "a/1.json": json.dumps({"speaker": "x/1", "text": "Yes", "split": "test"}).encode(),
            "a/2.wav": sound(tmp_path / "x.wav", 0.5).read_bytes(),
            "a/2.txt": b"No\n",
            "a/3.txt": b"silence",
        }.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    (tmp_path / "shard-001.tar").write_bytes(b"this is no archive" * 100)
    good, bad = read(tmp_path, "webdataset")
    assert [(e.speaker.split("/")[-1], e.text, e.split) for e in good] == [
        ("1", "Yes", "test"),
        ("2", "No", None),
    ]
    assert [each.where for each in bad] == ["shard-000.tar:a/3", "shard-001.tar"]
    lengths = [len(read_samples(each.audio, AudioLimits(), each.segment)) for each in good]
    assert lengths == [9600, 8000]


class FakeDataset:
    """As much of a streamed data set as is asked for; its rows never are a list."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows, self.decoded = rows, True
        self.features = dict.fromkeys(rows[0])

    def cast_column(self, column: str, feature: Any) -> FakeDataset:
        assert column == "audio" and feature == ("Audio", False)
        self.decoded = False
        return self

    def __iter__(self) -> Iterator[dict[str, Any]]:
        assert not self.decoded
        return iter(self.rows)


@pytest.fixture
def datasets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """Stands in for the package; what it was asked for."""
    data = sound(tmp_path / "x.wav").read_bytes()
    rows = [
        {"audio": {"bytes": data, "path": None}, "sentence": " Yes ", "client_id": 7, "id": "u1"},
        {"audio": {"bytes": None, "path": None}, "sentence": "No", "client_id": 7, "id": "u2"},
    ]
    asked: dict[str, Any] = {}

    def load_dataset(name: str, config: str | None, **options: Any) -> FakeDataset:
        asked.update(name=name, config=config, **options)
        return FakeDataset(rows)

    module = SimpleNamespace(load_dataset=load_dataset, Audio=lambda decode: ("Audio", decode))
    monkeypatch.setitem(sys.modules, "datasets", module)
    return asked


def test_hugging_face(datasets: dict[str, Any]) -> None:
    good, bad = read("hf:org/talk?config=en&split=test.clean", "huggingface")
    assert datasets == {
        "name": "org/talk", "config": "en", "split": "test.clean", "streaming": True
    }  # fmt: skip
    [one] = good
    assert (one.id, one.speaker, one.text) == ("talk/test.clean/u1", "talk/7", "Yes")
    assert one.split == "test" and [each.where for each in bad] == ["org/talk/test.clean:1"]
    assert len(read_samples(one.audio, AudioLimits(), one.segment)) == 8000


def test_hugging_face_columns_are_checked(datasets: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="text must be one of the columns"):
        list(open_source("hf:org/talk?text=words"))
    with pytest.raises(UserError, match="colour"):
        list(open_source("hf:org/talk?colour=red"))


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(EnvironmentProblem, match=r"uslm\[datasets\]"):
        list(open_source("hf:org/talk"))


def test_manifests_and_folders_are_told(tmp_path: Path) -> None:
    sound(tmp_path / "a.wav")
    text(tmp_path / "b.jsonl", json.dumps({"audio": "a.wav", "speaker": "s"}))
    assert read(tmp_path / "b.jsonl", "manifest")[0][0].audio == tmp_path / "a.wav"
    assert read(tmp_path, "folder")[0][0].audio == tmp_path / "a.wav"


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingResource, match="there is no"):
        open_source(str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="no source named 'libri'; there are huggingface"):
        open_source(str(tmp_path), name="libri")
    text(tmp_path / "a.docx", "")
    with pytest.raises(UserError, match="none of the layouts"):
        open_source(str(tmp_path / "a.docx"))


def test_a_named_layout_must_be_there(tmp_path: Path) -> None:
    for name in SOURCES.keys() - {"folder"}:
        with pytest.raises(UserError, match=f"not laid out as {name}; it looks like folder"):
            open_source(str(tmp_path), name=name)
