"""Many machines make a corpus: what is merged are the bytes that one run makes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from uslm_recipes.commands.prepare import main
from uslm_recipes.data import decoding, examine
from uslm_recipes.data.audio_files import AudioLimits, read_samples
from uslm_recipes.data.augment.perturb import Perturbation
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.preparing.run import PrepareConfig, prepare
from uslm_recipes.data.preparing.shards import merge_corpus, prepare_shard
from uslm_recipes.data.recording import Found, Recording, Rejected, Segment
from uslm_recipes.data.shard import Shard, shards
from uslm_tokenizer.errors import MissingResource, UserError

NUMBER = 14


class NoPhonemes:
    """A front end that is as quick as none."""

    def phonemize(self, texts: Sequence[str]) -> list[str]:
        return ["" for _ in texts]

    def encode(self, phonemes: str) -> list[int]:
        return []


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Found]:
    """Recordings three to a slice; some sounds are there twice, in one slice and in others."""
    monkeypatch.setattr(examine, "SLICE", 3)
    all_found: list[Found] = []
    for i in range(NUMBER):
        path = tmp_path / f"{i}.wav"
        same_as = {4: 1, 5: 1, 7: 6, 10: 1}.get(i, i)
        tone = 0.3 * np.sin(np.arange(8000 + 320 * same_as) * 0.05)
        soundfile.write(path, tone, 16_000)
        speaker = "s/tested" if i % 4 == 0 else f"s/{i}"
        all_found.append(
            Recording(
                where=f"m:{i}",
                audio=path,
                id=str(i),
                source="s",
                speaker=speaker,
                split="test" if i % 4 == 0 else "train",
            )
        )
    lost, again = all_found[3], all_found[0]
    assert isinstance(lost, Recording) and isinstance(again, Recording)
    all_found[3] = replace(lost, audio=tmp_path / "missing.wav")
    all_found.insert(9, Rejected(where="m:x", audio="x\udc80", reason="unreadable"))
    all_found.insert(11, replace(again, where="m:again"))
    return all_found


def config(**given: Any) -> PrepareConfig:
    return PrepareConfig(**{"num_workers": 0, **given})


def one_run(found: Iterable[Found], out: Path, **given: Any) -> None:
    prepare(found, out, config(**given), front_end=NoPhonemes())


def run_shard(found: Iterable[Found], out: Path, shard: Shard, **given: Any) -> None:
    prepare_shard(found, out, config(**given), shard, front_end=NoPhonemes())


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


COPIES = (Perturbation(speed=0.9), Perturbation(semitones=2.0))


@pytest.mark.parametrize("count", [1, 2, 3, 9])  # nine: more than there are slices
@pytest.mark.parametrize("given", [{}, {"copies": COPIES}, {"limit": 9}])
def test_shards_make_the_bytes_of_one_run(
    tmp_path: Path, found: list[Found], count: int, given: dict[str, Any]
) -> None:
    one_run(found, tmp_path / "whole", **given)
    for shard in reversed(shards(count)):
        run_shard(found, tmp_path / "corpus", shard, **given)
    report = merge_corpus(tmp_path / "corpus", count)
    assert files_of(tmp_path / "corpus") == files_of(tmp_path / "whole")
    assert not list(tmp_path.glob("*.shard-*")) and not list(tmp_path.glob(".*"))
    if "limit" not in given:
        assert report.reasons["duplicate"] == 5
        reasons = (tmp_path / "corpus" / "rejected.jsonl").read_text()
        assert reasons.count('the same sound as m:1"') == 3


def test_a_stopped_shard_goes_on(
    tmp_path: Path, found: list[Found], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = shards(2)

    def stopped() -> Iterator[Found]:
        yield from found[:11]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_shard(stopped(), tmp_path / "corpus", first)
    run_shard(found, tmp_path / "corpus", second)
    with pytest.raises(MissingResource, match=r"not made yet: 0/2; make"):
        merge_corpus(tmp_path / "corpus", 2)
    decoded: list[Path] = []

    def read(path: Path, limits: AudioLimits, segment: Segment | None) -> NDArray[np.int16]:
        decoded.append(path)
        return read_samples(path, limits, segment)

    monkeypatch.setattr(decoding, "read_samples", read)
    run_shard(found, tmp_path / "corpus", first)
    assert len(decoded) == 3  # slices 0 and 2 were done
    run_shard(found, tmp_path / "corpus", first)
    assert len(decoded) == 3
    one_run(found, tmp_path / "whole")
    merge_corpus(tmp_path / "corpus", 2)
    assert files_of(tmp_path / "corpus") == files_of(tmp_path / "whole")


def test_shards_that_do_not_belong_together_are_refused(tmp_path: Path, found: list[Found]) -> None:
    first, second = shards(2)
    run_shard(found, tmp_path / "corpus", first)
    run_shard(found[:-1], tmp_path / "corpus", second)
    with pytest.raises(UserError, match="not of the same sources and settings"):
        merge_corpus(tmp_path / "corpus", 2)
    with pytest.raises(UserError, match=r"shard-1-of-2 was made of other sources; delete it"):
        run_shard(found, tmp_path / "corpus", second)
    run_shard(found, tmp_path / "corpus", second, audio=AudioLimits(max_seconds=9))
    with pytest.raises(UserError, match="not of the same sources and settings"):
        merge_corpus(tmp_path / "corpus", 2)
    with pytest.raises(UserError, match="must be 1 or more"):
        merge_corpus(tmp_path / "corpus", 0)


@pytest.mark.parametrize("file", ["audio.s16", "found.jsonl", "shard.json"])
def test_a_shard_that_is_damaged_is_named(tmp_path: Path, found: list[Found], file: str) -> None:
    for shard in shards(2):
        run_shard(found, tmp_path / "corpus", shard)
    path = tmp_path / "corpus.shard-1-of-2" / file
    lines = path.read_bytes()
    last_slice = lines.rfind(b'{"slice"')
    path.write_bytes(lines[: last_slice if file == "found.jsonl" else len(lines) - 4])
    with pytest.raises(UserError, match=r"shard-1-of-2.*delete"):
        merge_corpus(tmp_path / "corpus", 2)
    assert not (tmp_path / "corpus").exists()


def test_nothing_usable_is_told_by_the_merge(tmp_path: Path, found: list[Found]) -> None:
    for shard in shards(2):
        run_shard(found[3:4], tmp_path / "corpus", shard)
    with pytest.raises(UserError, match=r"no usable recording in the sources: \{'no such"):
        merge_corpus(tmp_path / "corpus", 2)


def test_the_command_shares_and_merges(
    tmp_path: Path, found: list[Found], capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "m.jsonl"
    rows = [each for each in found if isinstance(each, Recording)]
    lines = [{"audio": str(row.audio), "speaker": row.speaker, "id": row.id} for row in rows]
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    common = [str(manifest), "--workers", "0", "--out"]
    assert main([*common, str(tmp_path / "whole")]) == 0
    for index in range(2):
        assert main([*common, str(tmp_path / "corpus"), "--shard", f"{index}/2"]) == 0
    assert "shard 1/2 is done; when all are: --merge 2" in capsys.readouterr().out
    assert main(["--out", str(tmp_path / "corpus"), "--merge", "2"]) == 0
    assert f"{len(Corpus.open(tmp_path / 'corpus'))} utterances" in capsys.readouterr().out
    assert files_of(tmp_path / "corpus") == files_of(tmp_path / "whole")
    assert main(["--out", str(tmp_path / "corpus"), "--merge", "2"]) == 2
    assert "0/2, 1/2" in capsys.readouterr().err
