"""A finished model learns a voice from a folder of recordings, and says what came of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

from uslm.systems.two_stage.bundle import load_bundle, save_bundle
from uslm.systems.two_stage.tiny import tiny_bundle
from uslm.tts import ZeroShotTTS
from uslm_recipes.commands import fine_tune
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.loop.checkpoint import list_checkpoints

TINY = ["--config", "tiny", "--workers", "0"]


def spectrum(waveform: Tensor) -> Tensor:
    return torch.fft.rfft(waveform, 512).abs()


@pytest.fixture
def voice(trained: Path, tmp_path: Path) -> Path:
    """Recordings with texts beside them, and one without."""
    folder = tmp_path / "my_voice"
    folder.mkdir()
    for number in range(8):
        name = f"{12 + number % 4}.wav" if number < 4 else f"{number}.wav"
        shutil.copy(trained / "made_up" / name, folder / f"{number}.wav")
        if number:
            (folder / f"{number}.txt").write_text("The house stands.", "utf-8")
    return folder


def test_a_voice_is_learnt_and_compared(
    trained: Path, voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fine_tune, "load_speaker_model", lambda name: spectrum)
    model, out = str(trained / "bundle"), tmp_path / "out"
    given = [str(voice), "--model", model, "--out", str(out), *TINY]
    assert fine_tune.main([*given, "--speaker-model", "resemblyzer"]) == 0
    before, after = load_bundle(model), load_bundle(out / "bundle")
    assert after.config.name == "out" and after.config.language == before.config.language
    for part in ("tokenizer", "semantic", "acoustic"):
        assert not same_weights(getattr(before, part), getattr(after, part))
    assert same_weights(before.tokenizer.units, after.tokenizer.units)  # tokens stay what they are
    found = json.loads((out / "likeness.json").read_text("utf-8"))
    assert all(0 < found[name] <= 1 for name in ("before", "after", "real"))
    text = (out / "bundle" / "README.md").read_text("utf-8")
    assert f"| {found['before']:.3f} | {found['after']:.3f} |" in text and "consent" in text
    tts = ZeroShotTTS.from_pretrained(out / "bundle")
    speech = tts.generate("Hello.", tts.create_voice(out / "prompt.wav"), seed=0)
    assert speech.waveform.shape[1] > 0


def same_weights(left: torch.nn.Module, right: torch.nn.Module) -> bool:
    pairs = zip(left.state_dict().values(), right.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_the_same_command_goes_on(trained: Path, voice: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    given = [str(voice), "--model", str(trained / "bundle"), "--out", str(out), *TINY]
    segment = ["--set", "stage1.loop.stop_after_minutes=1e-9"]
    assert fine_tune.main([*given, *segment]) == 0
    assert list_checkpoints(out / "stage1" / "checkpoints") and not (out / "bundle").exists()
    assert fine_tune.main(given) == 0
    assert (out / "bundle" / "bundle.json").is_file()


def test_a_model_that_scores_codes_and_a_voice_without_text(voice: Path, tmp_path: Path) -> None:
    """Only stage 2 is trained then."""
    for text in voice.glob("*.txt"):
        text.unlink()
    model, out = tmp_path / "model", tmp_path / "out"
    save_bundle(tiny_bundle(), model, dtype=torch.float16)
    given = [str(voice), "--model", str(model), "--out", str(out), *TINY]
    assert fine_tune.main(given) == 0
    before, after = load_bundle(model), load_bundle(out / "bundle")
    assert same_weights(before.semantic, after.semantic)
    assert not same_weights(before.acoustic, after.acoustic)


def test_another_language_is_read_by_its_own_front_end(
    trained: Path, voice: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    given = [str(voice), "--model", str(trained / "bundle"), "--out", str(out), "--language", "de"]
    assert fine_tune.main([*given, *TINY]) == 0
    assert load_bundle(out / "bundle").config.language == "de"
    spoken = {each.phonemes for each in Corpus.open(out / "corpus") if each.text}
    german, english = (
        load_bundle(trained / "bundle").frontend(language=name)("The house stands.").phonemes
        for name in ("de", "en-us")
    )
    assert spoken == {german} != {english}


def test_minutes_and_speaker_choose(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, model = trained / "made_up" / "manifest.jsonl", str(trained / "bundle")
    given = [str(manifest), "--model", model, "--out", str(tmp_path), *TINY]
    assert fine_tune.main([*given, "--speaker", "nobody"]) == 1
    assert "no recording of a speaker 'nobody'" in capsys.readouterr().err
    more = [
        "--speaker",
        "lj/0",
        "--set",
        "minutes=0.03",
        "--set",
        "stage1.loop.stop_after_minutes=1e-9",
    ]
    assert fine_tune.main([*given, *more]) == 0
    corpus = Corpus.open(tmp_path / "corpus")
    assert set(corpus.speakers) == {"lj/0"}
    assert len(corpus.select(split="test")) == 3 and len(corpus.select(split="train")) == 2
