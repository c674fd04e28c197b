"""Corpora of lhotse and of Hugging Face: what their packages write is read, and the other way."""

from __future__ import annotations

import gzip
import io
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from uslm_recipes.commands.prepare import main as prepare_main
from uslm_recipes.commands.shards import main as shards_main
from uslm_recipes.data.audio_files import AudioLimits, read_samples
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.corpus_format import Utterance
from uslm_recipes.data.corpus_writer import CorpusWriter
from uslm_recipes.data.export import shar
from uslm_recipes.data.recording import Recording, Rejected
from uslm_recipes.data.sources.registry import detect, open_source
from uslm_tokenizer.errors import EnvironmentProblem, MissingResource, UserError

RATE = 16_000


def tone(seconds: float) -> Any:
    return 0.3 * np.sin(np.arange(round(seconds * RATE)) * 0.05)


def good(place: str) -> list[Recording]:
    found = list(open_source(place))
    assert all(isinstance(each, Recording) for each in found), found
    return [each for each in found if isinstance(each, Recording)]


def reasons(place: str) -> list[str]:
    return [each.reason for each in open_source(place) if isinstance(each, Rejected)]


@pytest.fixture
def cuts(tmp_path: Path) -> Any:
    """A CutSet of lhotse with one supervision in the middle of each recording."""
    import lhotse

    recordings, supervisions = [], []
    for i in range(5):
        soundfile.write(tmp_path / f"{i}.wav", tone(1 + i / 5), RATE)
        recordings.append(lhotse.Recording.from_file(tmp_path / f"{i}.wav"))
        supervisions.append(
            lhotse.SupervisionSegment(
                id=f"s{i}", recording_id=str(i), start=0.25, duration=0.5 + i / 10,
                text=f"Text {i}.", speaker=f"sp{i}", language="English", gender="female",
            )
        )  # fmt: skip
    whole = lhotse.CutSet.from_manifests(
        recordings=lhotse.RecordingSet.from_recordings(recordings),
        supervisions=lhotse.SupervisionSet.from_segments(supervisions),
    )
    return whole.trim_to_supervisions().to_eager()


def check_cuts(found: list[Recording], cuts: Any) -> None:
    """They are what lhotse reads itself, sample for sample."""
    limits = AudioLimits(hop_length=1)
    for recording, cut in zip(found, cuts, strict=True):
        [said] = cut.supervisions
        assert recording.text == said.text and recording.speaker.endswith(f"/{said.speaker}")
        assert (recording.language, recording.labels) == ("en", {"gender": "female"})
        samples = read_samples(recording.audio, limits, recording.segment)
        theirs = np.rint(cut.load_audio()[0] * 32768)
        assert np.abs(samples - theirs).max() <= 1 and len(samples) == len(theirs)


def test_a_cut_set_of_lhotse_is_read(tmp_path: Path, cuts: Any) -> None:
    for name in ("talk.jsonl.gz", "talk.jsonl"):
        cuts.to_file(tmp_path / name)
        assert detect(str(tmp_path / name)) == "lhotse"
        found = good(f"lhotse:{tmp_path / name}")
        check_cuts(found, cuts)
        assert [each.id for each in found] == [f"talk/s{i}" for i in range(5)]


@pytest.mark.parametrize("form", ["flac", "wav"])
def test_shar_of_lhotse_is_read(tmp_path: Path, cuts: Any, form: str) -> None:
    (tmp_path / "talk").mkdir()
    cuts.to_shar(tmp_path / "talk", fields={"recording": form}, shard_size=2)
    assert detect(str(tmp_path / "talk")) == "lhotse"
    check_cuts(good(str(tmp_path / "talk")), cuts)


def changed(**fields: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda cut: {**cut, **fields}


def of_recording(**fields: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda cut: {**cut, "recording": {**cut["recording"], **fields}}


BAD = {
    "a MixedCut is no recording": changed(type="MixedCut", tracks=[]),
    "id must be a non-empty string": changed(id=""),
    "cut cannot be -1 s": changed(start=-1),
    "cut has no recording": changed(recording=None),
    "cut has 2 supervisions; use trim_to_supervisions": changed(supervisions=[{}, {}]),
    "supervisions must be a list": changed(supervisions="none"),
    "recording has transforms": of_recording(transforms=[{"name": "Speed"}]),
    "recording must have one source": of_recording(sources=[]),
    "several channels": of_recording(sources=[{"type": "file", "channels": [0, 1]}]),
    "type 'command' cannot be read": of_recording(sources=[{"type": "command", "source": "x"}]),
    "line is no cut": lambda cut: {},
}


@pytest.mark.parametrize("reason", BAD)
def test_cuts_that_are_no_recordings_are_told(tmp_path: Path, cuts: Any, reason: str) -> None:
    first, second, *_ = [cut.to_dict() for cut in cuts]
    path = tmp_path / "talk.jsonl"
    path.write_text(f"{json.dumps(first)}\n{json.dumps(BAD[reason](second))}\n")
    one, bad = open_source(str(path))
    assert isinstance(one, Recording) and isinstance(bad, Rejected)
    assert bad.where == "talk.jsonl:2" and reason in bad.reason


def test_damaged_shar_is_told(tmp_path: Path, cuts: Any) -> None:
    folder = tmp_path / "talk"
    folder.mkdir()
    cuts.to_shar(folder, fields={"recording": "flac"}, shard_size=2)
    (folder / "recording.000000.tar").write_bytes(b"no tar" * 999)
    (folder / "recording.000001.tar").write_bytes((folder / "recording.000002.tar").read_bytes())
    cut_off = (folder / "cuts.000002.jsonl.gz").read_bytes()[:-9]
    (folder / "cuts.000002.jsonl.gz").write_bytes(cut_off)
    found = reasons(str(folder))
    assert "unreadable" in found[0] and "no audio of cut 's2'" in found[1]
    assert found[-1] == "line is no cut of lhotse"


# ---- Parquet


def flac() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, tone(0.6), RATE, format="FLAC")
    return file.getvalue()


def test_parquet_of_hugging_face_is_read(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = {
        "audio": [{"bytes": flac(), "path": f"{i}.flac"} for i in range(3)],
        "sentence": [f" Text {i}. " for i in range(3)],
        "client_id": [7, 7, 8],
    }
    folder = tmp_path / "talk"
    folder.mkdir()
    dataset = datasets.Dataset.from_dict(rows).cast_column("audio", datasets.Audio(decode=False))
    dataset.to_parquet(folder / "validation-00000-of-00001.parquet")
    found = good(str(folder))
    assert detect(str(folder)) == "parquet"
    assert [each.text for each in found] == ["Text 0.", "Text 1.", "Text 2."]
    assert [each.speaker for each in found] == ["talk/7", "talk/7", "talk/8"]
    assert {each.split for each in found} == {"valid"} and len({each.id for each in found}) == 3
    for each in found:
        assert len(read_samples(each.audio, AudioLimits(), each.segment)) == 9600
    assert good(f"parquet:{folder}?text=client_id")[2].text == "8"


def test_bad_parquet_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow
    from pyarrow import parquet

    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")
    parquet.write_table(pyarrow.table({"audio": [flac(), None]}), tmp_path / "b.parquet")
    damaged, none = reasons(str(tmp_path))
    assert damaged.startswith("unreadable: ") and none == "row has no audio"
    place = str(tmp_path / "b.parquet")
    for query, message in {"text=words": "text must be one of", "colour=red": "colour"}.items():
        with pytest.raises(UserError, match=message):
            good(f"parquet:{place}?{query}")
    parquet.write_table(pyarrow.table({"text": ["a"]}), tmp_path / "b.parquet")
    with pytest.raises(UserError, match="has audio; name it by audio=COLUMN"):
        good(place)
    with pytest.raises(MissingResource, match="there is no nowhere"):
        good("parquet:nowhere")
    with pytest.raises(UserError, match="is not laid out as lhotse; it looks like parquet"):
        good(f"lhotse:{place}")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(EnvironmentProblem, match=r"uslm\[parquet\]"):
        good(place)


# ---- written


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Utterances with all that a line can say."""
    random = np.random.default_rng(0)
    with CorpusWriter(tmp_path / "corpus", sample_rate=RATE) as writer:
        for i, split in enumerate(["train", "train", "valid", "train", "test"]):
            samples = random.integers(-9000, 9000, (40 + i) * 320).astype(np.int16)
            row = Utterance(
                id=f"ls/1/{i}.x",
                source="ls",
                audio="gone.flac",
                speaker="ls/1",
                language="en",
                text="",
                phonemes="aj" if i == 1 else "",
                text_ids=(),
                split=split,
                start_sample=writer.next_sample,
                num_samples=len(samples),
                labels={"gender": "female"} if i == 2 else {},
            )
            if i == 1:
                row = replace(row, text="I", durations=(0.1, 0.2, 0.3, 0.2))
            writer.add(row, samples)
        writer.finish()
    return tmp_path / "corpus"


def written(corpus: Path, form: str) -> Path:
    """In shards of about two utterances."""
    out = corpus.with_name(form)
    arguments = ["--corpus", str(corpus), "--out", str(out), "--format", form]
    assert shards_main([*arguments, "--megabytes", "0.03"]) == 0
    return out


@pytest.mark.parametrize("form", ["shar", "parquet"])
def test_a_corpus_comes_back(tmp_path: Path, corpus: Path, form: str) -> None:
    out = written(corpus, form)
    assert len(list(out.iterdir())) > 2
    whole = Corpus.open(corpus)
    rows = {row.id: (index, row) for index, row in enumerate(whole)}
    for each in good(str(out)):
        index, row = rows.pop(each.id)
        for field in ("source", "speaker", "language", "text", "split", "labels", "durations"):
            assert getattr(each, field) == getattr(row, field), field
        assert (each.phonemes or "") == row.phonemes
        samples = read_samples(each.audio, AudioLimits(), each.segment)
        assert np.array_equal(samples, whole.samples(index))
    assert not rows
    assert prepare_main([f"{out}", "--workers", "0", "--out", str(tmp_path / "again")]) == 0
    again = Corpus.open(tmp_path / "again")
    assert {row.id: row.split for row in again} == {row.id: row.split for row in whole}


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # lhotse leaves its tars open
def test_lhotse_reads_what_is_written(corpus: Path) -> None:
    import lhotse

    whole = Corpus.open(corpus)
    cuts = list(lhotse.CutSet.from_shar(in_dir=written(corpus, "shar")))
    assert [cut.id for cut in cuts] == [row.id for row in whole]
    for index, cut in enumerate(cuts):
        assert np.array_equal(np.rint(cut.load_audio()[0] * 32768), whole.samples(index))
        assert cut.supervisions[0].speaker == "ls/1"
    lhotse.validate(lhotse.CutSet.from_cuts(cuts))


def test_datasets_reads_what_is_written(tmp_path: Path, corpus: Path) -> None:
    datasets = pytest.importorskip("datasets")
    out = written(corpus, "parquet")
    splits = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    assert {name: len(rows) for name, rows in splits.items()} == {
        "train": 3, "validation": 1, "test": 1
    }  # fmt: skip
    assert splits["train"].features["audio"].sampling_rate == RATE
    row = splits["train"].cast_column("audio", datasets.Audio(decode=False))[1]
    samples, rate = soundfile.read(io.BytesIO(row["audio"]["bytes"]), dtype="int16")
    assert rate == RATE and np.array_equal(samples, Corpus.open(corpus).samples(1))
    assert row["durations"] == [0.1, 0.2, 0.3, 0.2]


def test_a_stopped_run_goes_on(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {path.name: path.read_bytes() for path in written(corpus, "shar").iterdir()}
    made: list[int] = []
    flac_of = shar._flac

    def stopped(corpus: Corpus, index: int) -> bytes:
        if index == 3 and made.count(3) == 0:
            made.append(index)
            raise KeyboardInterrupt
        made.append(index)
        return flac_of(corpus, index)

    monkeypatch.setattr(shar, "_flac", stopped)
    out = corpus.with_name("again")
    arguments = ["--corpus", str(corpus), "--out", str(out), "--format", "shar"]
    assert shards_main([*arguments, "--megabytes", "0.03"]) == 130
    assert shards_main([*arguments, "--megabytes", "0.03"]) == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == whole
    assert made.count(0) == 1


def test_the_same_corpus_gives_the_same_bytes(corpus: Path) -> None:
    cuts = (written(corpus, "shar") / "cuts.000000.jsonl.gz").read_bytes()
    assert cuts[4:8] == bytes(4)  # no time in the head of gzip
    assert gzip.decompress(cuts).count(b"MonoCut") >= 1
