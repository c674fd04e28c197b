"""The recipe of the speech LM at `tiny` size: rows, resuming, what it leaves, mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock

from uslm.models.spans import Span
from uslm.systems.lst.model import PatchLM
from uslm.systems.registry import load_model
from uslm_recipes.config import load_config
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.encoding import encode_corpus
from uslm_recipes.data.rows.speech import SpeechRows, TasksConfig
from uslm_recipes.data.tokens import TokenCorpus
from uslm_recipes.train.speech_lm import SpeechLMRecipe, find_alignments, main
from uslm_tokenizer.codecs.unit_tokenizer.model import UnitTokenizer
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.sequence.patches import PatchingConfig


@pytest.fixture(scope="session")
def units(material: Path) -> Path:
    """A tokenizer with random weights, and the tokens that it makes of the corpus."""
    out = material.parent / "speech_lm_units"
    with FileLock(f"{out}.lock"):
        if not (out / "tokens").exists():
            torch.manual_seed(0)
            tokenizer = UnitTokenizer(UnitTokenizer.tiny_config()).eval()
            tokenizer.save_pretrained(out / "model")
            encode_corpus(tokenizer, Corpus.open(material / "corpus"), out / "tokens")
    return out


def settings(material: Path, units: Path, *more: str) -> list[str]:
    return [
        f"corpus=[{material / 'corpus'}]",
        f"tokens=[{units / 'tokens' / '0'}]",
        f"recognizer={units / 'model'}",
        *more,
    ]


def arguments(material: Path, units: Path, out: Path, *more: str) -> list[str]:
    given = settings(material, units, *more)
    return ["--config", "tiny", "--out", str(out), *(w for o in given for w in ("--set", o))]


def records(run: Path, kind: str) -> list[dict[str, Any]]:
    lines = (run / "log.jsonl").read_text("utf-8").splitlines()
    return [line for line in map(json.loads, lines) if line["kind"] == kind]


@pytest.fixture(scope="session")
def finished(material: Path, units: Path) -> Path:
    out = material.parent / "speech_lm"
    with FileLock(f"{out}.lock"):
        if not (out / "model").exists():
            assert main(arguments(material, units, out)) == 0
    return out


def test_it_leaves_a_model(finished: Path) -> None:
    assert isinstance(load_model(finished / "model"), PatchLM)
    card = (finished / "model" / "README.md").read_text("utf-8")
    assert "# patch_lm" in card and "LibriSpeech" in card
    losses = [record["loss"] for record in records(finished, "train")]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
    values = records(finished, "valid")[-1]
    assert 0 <= values["pair_accuracy"] <= 1 and values["mflops_per_second"] > 0
    assert values["nats_per_second"] == pytest.approx(50 * values["loss"])


def test_a_resumed_run_ends_with_the_same_weights(
    material: Path, units: Path, finished: Path, tmp_path: Path
) -> None:
    given = arguments(material, units, tmp_path, "loop.save_every_minutes=1e-9")
    assert main([*given, "--stop-after-minutes", "1e-4"]) == 0
    assert not (tmp_path / "model").exists()
    assert main([*given, "--resume"]) == 0
    whole = (finished / "model" / "model.safetensors").read_bytes()
    assert whole == (tmp_path / "model" / "model.safetensors").read_bytes()


def test_a_model_of_merged_units(
    material: Path, units: Path, finished: Path, tmp_path: Path
) -> None:
    """Fewer tokens for the same speech; the cost is counted for a second of it."""
    more = ("bpe_vocab_size=48", "patching.way=static", "bpe_utterances=4")
    assert main(arguments(material, units, tmp_path, *more)) == 0
    model = load_model(tmp_path / "model")
    assert isinstance(model, PatchLM) and 0 < len(model.config.merges) <= 16
    plain = load_model(finished / "model")
    assert isinstance(plain, PatchLM)
    assert model.tokenizer_hash == plain.tokenizer_hash != ""
    values, others = (records(run, "valid")[-1] for run in (tmp_path, finished))
    assert others["tokens_per_second"] == 50 > values["tokens_per_second"]
    ratio = values["nats_per_second"] / values["loss"]
    assert ratio == pytest.approx(values["tokens_per_second"])


# ---- rows


def rows_of(material: Path, units: Path, tmp_path: Path, way: Any, **tasks: float) -> SpeechRows:
    recipe = load_config(
        SpeechLMRecipe, "tiny", settings(material, units), recipe="train_speech_lm"
    )
    corpus = Corpus.open(recipe.corpus)
    tokens = TokenCorpus.open(corpus, recipe.tokens)
    alignments = find_alignments(recipe, corpus, tokens, np.arange(12), tmp_path)
    none = {"speech": 0.0, "interleaved": 0.0, "read_aloud": 0.0, "write_down": 0.0}
    patching = PatchingConfig(way=way, size=3, min_silence=2)
    return SpeechRows(corpus, tokens, patching, TasksConfig(**none | tasks), alignments)


def draw(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_rows_hold_the_text_and_the_units_in_their_order(
    material: Path, units: Path, tmp_path: Path
) -> None:
    for task, kinds in (
        ("speech", ["speech"]),
        ("read_aloud", ["text", "speech"]),
        ("write_down", ["speech", "text"]),
    ):
        rows = rows_of(material, units, tmp_path, "static", **{task: 1.0})
        row = rows.row(2, 0.0, draw())
        assert [span.kind for span in row] == kinds
        for span in row:
            text = torch.from_numpy(rows.corpus.text_ids[2])
            wanted = rows.tokens.codes(2)[0] if span.kind == "speech" else text
            assert torch.equal(span.ids, wanted)


@pytest.mark.parametrize("way", ["static", "aligned"])
def test_words_of_a_stretch_stand_as_text(
    material: Path, units: Path, tmp_path: Path, way: str
) -> None:
    rows = rows_of(material, units, tmp_path, way, interleaved=1.0)
    found = 0
    for index in range(8):
        row = rows.row(index, 0.0, draw(index))
        whole = rows.tokens.codes(index)[0]
        said = [span.ids for span in row if span.kind == "speech"]
        assert sum(map(len, said)) <= len(whole)
        begins = [torch.equal(said[0], whole[: len(said[0])])] if said else []
        ends = [torch.equal(said[-1], whole[len(whole) - len(said[-1]) :])] if said else []
        found += sum(span.kind == "text" for span in row)
        assert any([*begins, *ends])
        PatchLM(PatchLM.tiny_config()).batch([row])  # its patches cover each stretch
    assert found >= 4


def test_a_curriculum_is_aligned_at_first_and_static_at_last(
    material: Path, units: Path, tmp_path: Path
) -> None:
    rows = rows_of(material, units, tmp_path, "curriculum", speech=1.0)

    def patches(fraction: float) -> list[int]:
        [span] = rows.row(1, fraction, draw())
        assert isinstance(span, Span) and span.patches is not None
        return span.patches.tolist()

    static = (torch.arange(len(patches(1.0))) // 3).tolist()
    assert patches(1.0) == static and patches(0.0) != static


# ---- mistakes


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("patching.size=4", "patching.size must be 3, as model.patch_size, but is 4"),
        ("tasks.speech=-1", "must be shares that are not all 0"),
        ("loop.read_ahead=2", "loop.read_ahead must be 0"),
        ("bpe_vocab_size=40", "patching.way must be 'static' where bpe_vocab_size is not 0"),
        ("model.tokenizer=abc", "must not be given, as the tokens tell them"),
    ],
)
def test_configs_that_cannot_be_are_refused(
    material: Path, units: Path, override: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        load_config(
            SpeechLMRecipe, "tiny", settings(material, units, override), recipe="train_speech_lm"
        )


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("model.codebook_size=16", "model.codebook_size must be 32, that of the tokenizer"),
        ("recognizer=''", "needs a recognizer, as no utterance"),
        ("sources=[nowhere]", "is empty: there is nothing to train on"),
    ],
)
def test_mistakes_are_told(
    material: Path, units: Path, tmp_path: Path, override: str, words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert main(arguments(material, units, tmp_path, override)) == 1
    assert words in capsys.readouterr().err
