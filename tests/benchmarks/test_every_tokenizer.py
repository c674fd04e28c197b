"""The page of all tokenizers: a table for each suite, a file for each plot, every name in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from uslm.evaluation.suites.made_speech import made_speech
from uslm.evaluation.suites.speech_set import SAMPLE_RATE
from uslm_recipes.data.corpus import Corpus
from uslm_tokenizer.audio.write import write_audio
from uslm_tokenizer.codecs.waveform_codec.model import WaveformCodec

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "every_tokenizer.py"


def write_speech(folder: Path) -> None:
    """As `../shared/speech` has it: lines with phonemes and their durations."""
    made, rows = made_speech(num_train=8, num_test=4, num_phonemes=6), []
    for split in ("train", "test"):
        for number, speech in enumerate(getattr(made, split)):
            write_audio(folder / f"{split}{number}.wav", speech.waveform, SAMPLE_RATE)
            times = [each.end - each.start for each in speech.segments]
            rows.append(
                {
                    "audio": f"{split}{number}.wav", "speaker": f"kokoro/{split}{number % 2}",
                    "split": split, "text": speech.text, "phonemes": "".join(speech.phonemes),
                    "durations": [*times, speech.seconds - speech.segments[-1].end],
                }
            )  # fmt: skip
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "kokoro.jsonl").write_text(lines, "utf-8")
    sexes = [{"id": "train0", "sex": "f"}, {"id": "train1", "sex": "m"}]
    (folder / "speakers.json").write_text(json.dumps({"speakers": sexes}), "utf-8")


def test_every_tokenizer_has_its_rows_and_the_page_its_plots(
    load_script: Callable[[Path], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    script: Any = load_script(SCRIPT)
    probe = replace(script.QUICK.probe, steps=2, dim=8)
    quick = replace(
        script.QUICK, num_train=8, num_test=4, num_decoded=1, probe=probe, vocoder_steps=1,
        ratios=(0.5,), shares=(1.0,),
    )  # fmt: skip
    monkeypatch.setattr(script, "QUICK", quick)
    write_speech(tmp_path)
    given = [
        "--speech", tmp_path, "--speakers", tmp_path / "speakers.json", "--quick", "--seeds", "1",
        "--suites", "alignment", "preservation", "compression", "probes",
        "--random", "speech_tokenizer", "--tiny", "--out", tmp_path / "page",
    ]  # fmt: skip
    assert script.main([str(word) for word in given]) == 0
    report = json.loads((tmp_path / "page" / "report.json").read_text("utf-8"))
    names = ["log-mel k-means", "default units", "default codec"]
    names.append("speech_tokenizer (tiny, random weights)")
    assert list(report["model"]) == names
    command = report["config"]["command"]
    assert command.startswith("python benchmarks/every_tokenizer.py --speech ")
    assert str(tmp_path) not in command and command.endswith("--tiny --out page")
    for name in names:
        for key in ("use", "alignment", "preservation", "compression"):
            assert any(row.startswith(name) for row in report["sections"][key]["rows"]), (name, key)
    labels = report["sections"]["labels"]["rows"]
    assert any(row.endswith(": gender") for row in labels), list(labels)
    page = (tmp_path / "page" / "index.md").read_text("utf-8")
    plots = [line for line in page.splitlines() if line.startswith("![")]
    files = {line.partition("](")[2].rstrip(")") for line in plots}
    assert files == {path.name for path in (tmp_path / "page").glob("*.svg")} and len(files) > 6
    assert script.main(["--speech", str(tmp_path / "gone"), "--out", str(tmp_path)]) == 1


def test_own_codecs_learn_from_no_speaker_that_is_asked_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    own: Any = import_module("own_codecs")
    write_speech(tmp_path)
    commands: list[list[str]] = []

    def train(arguments: list[str]) -> int:
        commands.append(arguments)
        out = Path(arguments[arguments.index("--out") + 1])
        assert (out / "teacher").is_dir() == ("split" in out.name)  # features made for the other
        (out / "teacher").mkdir(parents=True, exist_ok=True)
        WaveformCodec(WaveformCodec.tiny_config()).save_pretrained(out / "model")
        return 0

    monkeypatch.setattr(own, "train_waveform_codec", train)
    monkeypatch.setattr(own.SSLEncoder, "from_pretrained", lambda *_, **__: SimpleNamespace(dim=7))
    codecs = own.OwnCodecs(steps=5, teacher="teacher", num_lines=100)
    rows = [json.loads(line) for line in (tmp_path / "kokoro.jsonl").read_text().splitlines()]
    tested = {row["speaker"] for row in rows if row["split"] == "test"}
    found = dict(codecs.train(tmp_path / "kokoro.jsonl", tested, tmp_path / "work", print))
    assert list(found) == ["plain codec", "distilled codec", "distilled, split codec"]
    corpus = Corpus.open(tmp_path / "work" / "corpus")
    assert len(corpus) and not tested & set(corpus.speakers)
    plain, distilled, split = commands
    for command in commands:
        assert "loop.steps=5" in command and "loop.max_minutes=null" in command
    assert "objectives=[]" in plain and "teacher=teacher" not in plain
    assert "teacher=teacher" in distilled and "model.semantic_dim=7" in distilled
    assert "teacher=teacher" in split and split[1] == "mini_split"
