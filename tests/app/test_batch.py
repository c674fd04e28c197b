"""uslm batch: a file a job, as `uslm say` makes it; failures records by line; resumed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from uslm.tts import ZeroShotTTS

Uslm = Callable[..., Any]
JOBS: list[dict[str, Any]] = [
    {"text": "Hello there.", "seed": 1},
    {"text": "Another one.", "name": "other", "seed": 2, "speed": 1.25, "format": "FLAC"},
    {"text": "In my voice.", "prompt": "me.wav", "seed": 3},
    {"text": "By Ben, then.", "voice": "ben", "seed": 4, "name": "ben"},
]
BAD = [
    ("{broken", "no JSON"),
    ("[1]", "JSON object"),
    ('{"txt": "Hi."}', "no 'txt'; there are text, name"),
    ('{"text": " "}', "no text"),
    ('{"text": "Hi.", "name": "../x"}', "name must be"),
    ('{"text": "Hi.", "seed": -1}', "seed must be a whole number"),
    ('{"text": "Hi.", "speed": "fast"}', "speed must be a number"),
    ('{"text": "Hi.", "format": "wave"}', "format must be one of"),
    ('{"text": "Hi.", "voice": "nobody"}', "no voice 'nobody'"),
    ('{"text": "Hi.", "voice": "ada", "prompt": "me.wav"}', "exclude each other"),
    ('{"text": "Hi.", "prompt": "gone.wav"}', "gone.wav"),
    ('{"text": "Hi.", "name": "fine"}', "already made by line 1"),
]


@pytest.fixture
def batch(uslm: Uslm, tiny_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Uslm:
    """Runs `uslm batch` with the tiny model on a file whose recordings lie beside it."""
    monkeypatch.setenv("USLM_VOICES", str(tmp_path / "voices"))
    (tmp_path / "in").mkdir()
    shutil.copy(tiny_files / "prompt.wav", tmp_path / "in" / "me.wav")

    def run(text: str, *options: object, name: str = "jobs.jsonl") -> Any:
        (tmp_path / "in" / name).write_text(text)
        voice = ("--voice", tiny_files / "babble.safetensors", "--model", tiny_files / "model")
        return uslm("batch", f"in/{name}", "--out", "out", "--slots", 3, *voice, *options)

    return run


def lines(jobs: list[dict[str, Any]]) -> str:
    return "\n".join(map(json.dumps, jobs)) + "\n"


def test_each_job_is_what_say_makes(batch: Uslm, uslm: Uslm, tiny_files: Path) -> None:
    done = batch(lines(JOBS), "--json")
    assert done.code == 0, done.stderr
    records = {record["line"]: record for record in map(json.loads, done.out.splitlines())}
    assert sorted(records) == [1, 2, 3, 4]
    assert "4 spoken, 0 there already, 0 failed" in done.stderr
    names = ["ben.wav", "line-0001.wav", "line-0003.wav", "other.flac"]
    assert sorted(path.name for path in Path("out").iterdir()) == names
    babble = ("--voice", tiny_files / "babble.safetensors")
    voices = [babble, babble, ("--prompt", "in/me.wav"), ("--voice", "ben")]
    for line, (job, voice) in enumerate(zip(JOBS, voices, strict=True), 1):
        out = Path(records[line]["out"])
        speed = ("--speed", job.get("speed", 1.0))
        options = (
            *voice,
            *speed,
            "--seed",
            job["seed"],
            "--model",
            tiny_files / "model",
            "--force",
        )
        alone = f"alone{out.suffix}"
        assert uslm("say", job["text"], *options, "--out", alone).code == 0
        np.testing.assert_array_equal(soundfile.read(out)[0], soundfile.read(alone)[0])
        assert records[line]["seed"] == job["seed"]


def test_bad_lines_are_told_and_the_others_spoken(batch: Uslm) -> None:
    good = '{"text": "Hello there.", "name": "fine", "seed": 1}'
    done = batch("\n".join([good, *(line for line, _ in BAD)]), "--json")
    assert done.code == 1 and f"{len(BAD)} of {len(BAD) + 1} jobs failed" in done.stderr
    records = map(json.loads, done.out.splitlines())
    errors = {record["line"]: record["error"] for record in records if "error" in record}
    assert sorted(errors) == list(range(2, len(BAD) + 2))
    for line, (_, words) in enumerate(BAD, 2):
        assert words in errors[line]
    assert [path.name for path in Path("out").iterdir()] == ["fine.wav"]


def test_what_cannot_be_spoken_fails_alone_and_is_tried_again(
    batch: Uslm, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [*JOBS[:1], {"text": "Guten Morgen, wie geht es dir?"}, {"text": "?!"}, *JOBS[1:2]]
    first = batch(lines(jobs))
    assert first.code == 1 and "2 spoken, 0 there already, 2 failed" in first.stderr
    assert "line 2: " in first.stderr and "German" in first.stderr and "line 3: " in first.stderr
    before = Path("out/other.flac").stat().st_mtime_ns
    Path("out/line-0001.wav").unlink()
    again = batch(lines(jobs), "--any-language")
    assert again.code == 1 and "2 spoken, 1 there already, 1 failed" in again.stderr
    assert Path("out/other.flac").stat().st_mtime_ns == before

    def loaded(*arguments: Any, **options: Any) -> None:
        raise AssertionError("nothing is left: no model is needed")

    monkeypatch.setattr(ZeroShotTTS, "from_pretrained", loaded)
    assert batch(lines(jobs[:1])).code == 0


def test_a_table_will_do(batch: Uslm) -> None:
    table = 'name,text,seed,voice\none,"Hello, there.",1,\ntwo,Hello.,,ada\n,,,\n'
    done = batch(table, "--format", "mp3", name="jobs.csv")
    assert done.code == 1 and "line 4: there is no text" in done.stderr
    assert sorted(path.name for path in Path("out").iterdir()) == ["one.mp3", "two.mp3"]
    batch("", name="empty.jsonl").assert_refused(1, "empty")
