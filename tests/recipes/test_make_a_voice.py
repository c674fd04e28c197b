"""The recipes of Make-A-Voice at `tiny` size: all three, the folder they leave, resuming, rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock

from uslm import MakeAVoice, Score
from uslm.systems.make_a_voice.model import CODES, PITCH, PROMPT, TEXT, UNITS
from uslm.systems.make_a_voice.tiny import tiny_parts
from uslm.systems.two_stage.tiny import speech_like
from uslm.text.score import Note
from uslm_recipes.config import load_config
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.rows.voice import VoiceRows, WindowsConfig, two_windows
from uslm_recipes.train import code_vocoder
from uslm_recipes.train.make_a_voice import MakeAVoiceRecipe, main, open_material
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.sequence.flat_codes import unflatten_codes


@pytest.fixture(scope="session")
def tokenizers(material: Path) -> Path:
    """Folders of a unit tokenizer and of a codec of three codebooks."""
    out = material.parent / "make_a_voice_tokenizers"
    with FileLock(f"{out}.lock"):
        if not (out / "codec").exists():
            parts = tiny_parts()
            for name in ("units", "codec"):
                parts[name].save_pretrained(out / name)
    return out


def settings(material: Path, tokenizers: Path, *more: str) -> list[str]:
    both = [f"{name}={tokenizers / name}" for name in ("units", "codec")]
    return [f"corpus=[{material / 'corpus'}]", *both, *more]


def arguments(out: Path, given: list[str]) -> list[str]:
    return ["--config", "tiny", "--out", str(out), *(w for o in given for w in ("--set", o))]


@pytest.fixture(scope="session")
def finished(material: Path, tokenizers: Path) -> Path:
    """Vocoder, semantic stage, and the acoustic one after them."""
    out = material.parent / "make_a_voice"
    with FileLock(f"{out}.lock"):
        if not (out / "acoustic" / "system").exists():
            vocoder = [g for g in settings(material, tokenizers) if not g.startswith("units")]
            assert code_vocoder.main(arguments(out / "vocoder", vocoder)) == 0
            semantic = settings(material, tokenizers, "stage=semantic")
            assert main(arguments(out / "semantic", semantic)) == 0
            more = [f"{name}={out / name / 'model'}" for name in ("semantic", "vocoder")]
            assert main(arguments(out / "acoustic", settings(material, tokenizers, *more))) == 0
    return out


def test_all_learn_and_leave_a_folder_that_speaks_converts_and_sings(finished: Path) -> None:
    for part in ("vocoder", "semantic", "acoustic"):
        lines = (finished / part / "log.jsonl").read_text("utf-8").splitlines()
        rows = list(map(json.loads, lines))
        losses = [row["loss"] for row in rows if row["kind"] == "train"]
        assert losses[-1] < losses[0]
        valid = [row for row in rows if row["kind"] == "valid"][-1]
        assert valid["loss"] > 0
        assert ("loss_without_pitch" in valid) == (part == "acoustic")
    model = MakeAVoice.from_pretrained(finished / "acoustic" / "system")
    voice = model.create_voice(speech_like(2.0), "This is a test.")
    assert model.speak("Hello.", voice, seed=1).seconds > 0.1
    assert model.convert(speech_like(1.0), voice, seed=1).seconds == 1
    score = Score((Note(start_seconds=0.0, seconds=0.5, number=60.0, syllable="la"),))
    assert model.sing(score, voice, seed=1).seconds == 0.5


@pytest.mark.parametrize("part", ["acoustic", "vocoder"])
def test_a_resumed_run_ends_with_the_same_weights(
    finished: Path, material: Path, tokenizers: Path, tmp_path: Path, part: str
) -> None:
    given = settings(material, tokenizers, "loop.save_every_minutes=1e-9")
    run: Callable[[list[str]], int] = main
    if part == "vocoder":
        given, run = [g for g in given if not g.startswith("units")], code_vocoder.main
    given_all = arguments(tmp_path, given)
    assert run([*given_all, "--stop-after-minutes", "1e-4"]) == 0
    assert not (tmp_path / "model").exists()
    assert run([*given_all, "--resume"]) == 0
    whole = (finished / part / "model" / "model.safetensors").read_bytes()
    assert whole == (tmp_path / "model" / "model.safetensors").read_bytes()


def test_windows_never_overlap_and_both_orders_come() -> None:
    """A prompt that holds the target would teach to copy it."""
    seen = set()
    for seed in range(200):
        random = np.random.default_rng(seed)
        count = int(random.integers(2, 90))
        prompt, target = two_windows(count, 30, 40, random)
        for window in (prompt, target):
            assert 0 <= window.start < window.stop <= count
        assert prompt.stop <= target.start or target.stop <= prompt.start
        assert prompt.stop - prompt.start <= min(30, count // 2)
        assert target.stop - target.start <= 40
        seen.add(prompt.stop <= target.start)
    assert seen == {True, False}


def test_rows_hold_windows_of_one_utterance(
    material: Path, tokenizers: Path, tmp_path: Path
) -> None:
    given = settings(material, tokenizers, "windows.prompt_dropout=0.5")
    recipe = load_config(MakeAVoiceRecipe, "tiny", given, recipe="train_make_a_voice")
    corpus = Corpus.open(recipe.corpus)
    found = open_material(recipe, corpus, tmp_path)
    rows = found.rows
    assert isinstance(rows, VoiceRows) and found.codec is not None
    codes, units = rows.codes.codes(0)[:2], rows.units.codes(0)[0]
    pitch = found.pitch.encode(corpus.waveform(0)[None, None])[0, 0]
    kinds = set()
    for seed in range(12):
        row = rows.row(0, np.random.default_rng(seed))
        kinds.add(tuple(span.kind for span in row))
        spans = {
            span.kind: span.ids for span in rows.row(0, np.random.default_rng(seed), without=())
        }
        assert list(spans) == [PROMPT, UNITS, PITCH, CODES]
        written = unflatten_codes(spans[CODES], 2, found.codec.codebook_size)
        prompt = unflatten_codes(spans[PROMPT], 2, found.codec.codebook_size)
        length = written.shape[1]
        starts = [
            at
            for at in range(codes.shape[1] - length + 1)
            if torch.equal(written, codes[:, at : at + length])
            and torch.equal(spans[PITCH], pitch[at : at + length])
            and torch.equal(spans[UNITS], units[at : at + length])
        ]
        assert starts, "units, pitch and codes are of one window"
        assert any(
            torch.equal(prompt, codes[:, at : at + prompt.shape[1]])
            for at in range(codes.shape[1] - prompt.shape[1] + 1)
        )
    assert len(kinds) == 4, "each of the two that may lack does so now and then"


@pytest.mark.parametrize(("strides", "hop"), [((4, 5, 8), 160), ((8, 8, 10), 640)])
def test_windows_hold_whole_units_and_frames(
    material: Path, tokenizers: Path, tmp_path: Path, strides: tuple[int, ...], hop: int
) -> None:
    codec = tiny_parts(strides=strides)["codec"].save_pretrained(tmp_path / "codec")
    given = [g for g in settings(material, tokenizers) if not g.startswith("codec")]
    recipe = load_config(
        MakeAVoiceRecipe, "tiny", [*given, f"codec={codec}"], recipe="train_make_a_voice"
    )
    found = open_material(recipe, Corpus.open(recipe.corpus), tmp_path)
    rows = found.rows
    assert isinstance(rows, VoiceRows)
    for seed in range(5):
        row = rows.row(0, np.random.default_rng(seed), without=())
        prompt, units, pitch, codes = (span.ids for span in row)
        assert len(units) == len(pitch) and len(codes) * hop == len(units) * 320 * 2
        written = unflatten_codes(codes, 2, 16)
        # The unit that begins with the first frame: both windows begin at one time.
        starts = [
            at
            for at in range(rows.codes.codes(0).shape[1])
            if torch.equal(rows.codes.codes(0, at, at + written.shape[1])[:2], written)
        ]
        assert any(
            torch.equal(rows.units.codes(0)[0, at * hop // 320 :][: len(units)], units)
            for at in starts
        )
        assert len(prompt) > 0


def test_mistakes_are_told(
    material: Path, tokenizers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = settings(material, tokenizers, "num_codebooks=4")
    assert main(arguments(tmp_path / "out", given)) == 1
    assert "num_codebooks must be at most 3" in capsys.readouterr().err
    given = [g for g in settings(material, tokenizers) if not g.startswith("units")]
    assert code_vocoder.main(arguments(tmp_path / "v", [*given, "model.codebook_size=9"])) == 1
    assert "model.codebook_size must be 16, as of" in capsys.readouterr().err
    with pytest.raises(ConfigError, match=r"pitch_dropout must be in \[0, 1\], but is 2"):
        WindowsConfig(pitch_dropout=2.0)


def test_the_semantic_stage_reads_text(material: Path, tokenizers: Path, tmp_path: Path) -> None:
    given = settings(material, tokenizers, "stage=semantic")
    recipe = load_config(MakeAVoiceRecipe, "tiny", given, recipe="train_make_a_voice")
    corpus = Corpus.open(recipe.corpus)
    found = open_material(recipe, corpus, tmp_path)
    text, units = found.spans(0, np.random.default_rng(0))
    assert text.kind == TEXT and text.ids.tolist() == corpus.text_ids[0].tolist()
    assert torch.equal(units.ids, found.rows.units.codes(0)[0])
