"""The recipe of GenSE at `tiny` size: both stages, the folder they leave, resuming, mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock

from uslm import VoiceConverter
from uslm.systems.gense.model import (
    CLEAN_CODES,
    CLEAN_UNITS,
    NOISY_CODES,
    NOISY_UNITS,
    GenseLM,
)
from uslm.systems.gense.tiny import tiny_parts
from uslm.systems.two_stage.tiny import speech_like
from uslm_recipes.config import load_config
from uslm_recipes.data.augment.damage import DamageConfig
from uslm_recipes.data.augment.noisy_rows import NoisyRows, tokens_of
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.train.gense import GenseRecipe, main, open_tokenizers, spans_of
from uslm_tokenizer.codecs.waveform_codec.model import WaveformCodec
from uslm_tokenizer.errors import ConfigError


@pytest.fixture(scope="session")
def tokenizers(material: Path) -> Path:
    """Folders of a unit tokenizer and of a codec of one code a frame."""
    out = material.parent / "gense_tokenizers"
    with FileLock(f"{out}.lock"):
        if not (out / "codec").exists():
            parts = tiny_parts()
            for name in ("units", "codec"):
                parts[name].save_pretrained(out / name)
    return out


def settings(material: Path, tokenizers: Path, *more: str) -> list[str]:
    both = [f"{name}={tokenizers / name}" for name in ("units", "codec")]
    return [f"corpus=[{material / 'corpus'}]", *both, *more]


def arguments(material: Path, tokenizers: Path, out: Path, *more: str) -> list[str]:
    given = settings(material, tokenizers, *more)
    return ["--config", "tiny", "--out", str(out), *(w for o in given for w in ("--set", o))]


@pytest.fixture(scope="session")
def finished(material: Path, tokenizers: Path) -> Path:
    """Both stages, the second after the first."""
    out = material.parent / "gense"
    with FileLock(f"{out}.lock"):
        if not (out / "speaker" / "system").exists():
            assert main(arguments(material, tokenizers, out / "cleaner")) == 0
            more = ("stage=speaker", f"cleaner={out / 'cleaner' / 'model'}")
            assert main(arguments(material, tokenizers, out / "speaker", *more)) == 0
    return out


def test_both_stages_learn_and_leave_a_folder_that_enhances(finished: Path) -> None:
    for stage in ("cleaner", "speaker"):
        lines = (finished / stage / "log.jsonl").read_text("utf-8").splitlines()
        rows = list(map(json.loads, lines))
        losses = [row["loss"] for row in rows if row["kind"] == "train"]
        assert losses[-1] < losses[0]
        valid = [row for row in rows if row["kind"] == "valid"][-1]
        assert 0 < valid["wrong"] <= 1
        # A random codec gives the same code whatever it is given.
        assert bool(valid["wrong_before"]) == (stage == "cleaner")
    converter = VoiceConverter.from_pretrained(finished / "speaker" / "system")
    noisy = speech_like(1.0)
    cleaned = converter.convert(noisy, seed=1)
    assert cleaned.waveform.shape == noisy.waveform.shape


def test_a_resumed_run_ends_with_the_same_weights(
    finished: Path, material: Path, tokenizers: Path, tmp_path: Path
) -> None:
    more = ("stage=speaker", "loop.save_every_minutes=1e-9")
    given = arguments(material, tokenizers, tmp_path, *more)
    assert main([*given, "--stop-after-minutes", "1e-4"]) == 0
    assert not (tmp_path / "model").exists()
    assert main([*given, "--resume"]) == 0
    whole = (finished / "speaker" / "model" / "model.safetensors").read_bytes()
    assert whole == (tmp_path / "model" / "model.safetensors").read_bytes()


def test_rows_hold_the_tokens_of_both_recordings(material: Path, tokenizers: Path) -> None:
    given = settings(material, tokenizers, "stage=speaker", "unit_noise=0.5", "prompt_dropout=0.5")
    recipe = load_config(GenseRecipe, "tiny", given, recipe="train_gense")
    corpus = Corpus.open(recipe.corpus)
    found = open_tokenizers(recipe, corpus)
    assert found.codec is not None
    rows = NoisyRows(corpus, recipe.damage, 0.8)
    pairs = [rows.pair(i, np.random.default_rng(i)) for i in range(6)]
    assert all(len(p.clean) == len(p.noisy) and not torch.equal(p.clean, p.noisy) for p in pairs)

    def randoms() -> list[np.random.Generator]:
        return [np.random.default_rng((7, i)) for i in range(6)]

    clean = spans_of(recipe, found, pairs, randoms(), clean=True)
    for pair, row in zip(pairs, clean, strict=True):
        kinds = [NOISY_UNITS, CLEAN_UNITS, NOISY_CODES, CLEAN_CODES]
        assert [span.kind for span in row] == kinds
        sounds = (pair.noisy, pair.clean)
        for span, sound, tokenizer in zip(
            row, sounds * 2, (found.units, found.units, found.codec, found.codec), strict=True
        ):
            assert torch.equal(span.ids, tokenizer.encode(sound[None, None])[0, 0])
    trained = spans_of(recipe, found, pairs, randoms())
    assert {len(row) for row in trained} == {3, 4}, "some do without the noisy codes"
    wrong = torch.cat([a[1].ids != b[1].ids for a, b in zip(clean, trained, strict=True)])
    assert 0.2 < float(wrong.float().mean()) < 0.7
    for a, b in zip(clean, trained, strict=True):
        assert torch.equal(a[0].ids, b[0].ids) and torch.equal(a[-1].ids, b[-1].ids)


def test_tokens_of_a_row_do_not_depend_on_its_padding(tokenizers: Path) -> None:
    units = tiny_parts()["units"]
    sounds = [speech_like(s, seed=i).waveform[0] for i, s in enumerate((0.5, 1.0, 0.77))]
    together = tokens_of(units, sounds)
    for sound, row in zip(sounds, together, strict=True):
        assert torch.equal(row, units.encode(sound[None, None])[0, 0])


def test_mistakes_are_told(
    material: Path, tokenizers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    several = WaveformCodec(WaveformCodec.tiny_config()).save_pretrained(tmp_path / "several")
    more = ("stage=speaker", f"codec={several}")
    assert main(arguments(material, tokenizers, tmp_path / "out", *more)) == 1
    assert "codec must give one code a frame, but gives 3" in capsys.readouterr().err
    with pytest.raises(ConfigError, match=r"unit_noise must be in \[0, 1\), but is 1"):
        GenseRecipe(unit_noise=1.0)
    with pytest.raises(ConfigError, match="min_snr_db must be at most max_snr_db"):
        DamageConfig(min_snr_db=3, max_snr_db=2)


def test_the_model_knows_the_kinds_of_its_tokenizers(finished: Path) -> None:
    speaker = GenseLM.from_pretrained(finished / "speaker" / "model")
    parts = tiny_parts()
    sizes = {kind.name: kind.size for kind in speaker.config.kinds}
    assert sizes[CLEAN_UNITS] == parts["units"].codebook_size  # type: ignore[union-attr]
    assert sizes[NOISY_CODES] == parts["codec"].codebook_size  # type: ignore[union-attr]
