"""Recipes of models of latents at `tiny` size: what they leave, resuming, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from uslm import ZeroShotTTS
from uslm.systems.registry import load_model
from uslm.systems.two_stage.tiny import speech_like
from uslm.systems.vevo.lm import VevoLM
from uslm.systems.voxcpm.model import VoxCPM
from uslm_recipes.commands import encode
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.rows.latent import LatentRows
from uslm_recipes.data.tokens import TokenCorpus
from uslm_recipes.train import ar, content_lm, melody, voxcpm
from uslm_tokenizer.codecs.kmeans_units.model import KMeansUnits
from uslm_tokenizer.codecs.vae.model import VAECodec

MAINS: dict[str, Callable[[list[str]], int]] = {
    "voxcpm": voxcpm.main,
    "melody": melody.main,
    "content_lm": content_lm.main,
}


@pytest.fixture(scope="module")
def codec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A variational codec with random weights."""
    torch.manual_seed(0)
    return VAECodec(VAECodec.tiny_config()).eval().save_pretrained(tmp_path_factory.mktemp("vae"))


@pytest.fixture(scope="module")
def speech(material: Path, codec: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Units of the corpus, their tokenizer, and a stage 1 that was trained on them."""
    out = tmp_path_factory.mktemp("speech")
    torch.manual_seed(0)
    tokenizer = KMeansUnits(KMeansUnits.tiny_config()).eval()
    tokenizer.save_pretrained(out / "units")
    corpus = str(material / "corpus")
    given = ["--corpus", corpus, "--tokenizer", str(out / "units"), "--out", str(out / "tokens")]
    assert encode.main(given) == 0
    size = tokenizer.codebook_size
    model = f"{{text_vocab_size: 64, codebook_size: {size}, dim: 16, hidden_dim: 32, num_heads: 2}}"
    settings = [
        "kind=melody_lm", f"model={model}", "model.num_layers=1", f"corpus=[{corpus}]",
        f"tokens=[{out / 'tokens' / '0'}]", "loop.samples=0", "loop.steps=2",
        "loop.warmup_steps=1", "loop.validate_every=2",
    ]  # fmt: skip
    config = ["--config", "tiny", "--out", str(out / "ar")]
    assert ar.main([*config, *(word for o in settings for word in ("--set", o))]) == 0
    return out


def arguments(
    stage: str, material: Path, codec: Path, speech: Path, out: Path, *overrides: str
) -> list[str]:
    own = {
        "voxcpm": [],
        "melody": [
            f"tokens=[{speech / 'tokens' / '0'}]", f"units={speech / 'units'}",
            f"lm={speech / 'ar' / 'model'}", "model.num_units=16",
        ],
        "content_lm": [
            f"tokens=[{speech / 'tokens' / '0'}]", f"content=[{speech / 'tokens' / '0'}]",
            "model.codebook_size=16", "model.text_vocab_size=20", "shift=4",
        ],
    }  # fmt: skip
    given = [f"corpus=[{material / 'corpus'}]", "loop.samples=0"]
    given += [f"codec={codec}"] * (stage != "content_lm")
    given += [*own[stage], *overrides]
    return ["--config", "tiny", "--out", str(out), *(w for o in given for w in ("--set", o))]


def records(run: Path, kind: str) -> list[dict[str, Any]]:
    lines = (run / "log.jsonl").read_text("utf-8").splitlines()
    return [line for line in map(json.loads, lines) if line["kind"] == kind]


@pytest.fixture(scope="module", params=MAINS)
def finished(
    request: pytest.FixtureRequest,
    material: Path,
    codec: Path,
    speech: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, Path]:
    out, stage = tmp_path_factory.mktemp(f"train_{request.param}"), request.param
    assert MAINS[stage](arguments(stage, material, codec, speech, out)) == 0
    return stage, out


def test_a_resumed_run_ends_with_the_same_weights(
    finished: tuple[str, Path], material: Path, codec: Path, speech: Path, tmp_path: Path
) -> None:
    stage, whole = finished
    given = arguments(stage, material, codec, speech, tmp_path, "loop.save_every_minutes=1e-9")
    assert MAINS[stage]([*given, "--stop-after-minutes", "1e-4"]) == 0
    assert not (tmp_path / "model").exists()
    assert MAINS[stage]([*given, "--resume"]) == 0
    ends = [(run / "model" / "model.safetensors").read_bytes() for run in (whole, tmp_path)]
    assert ends[0] == ends[1]


def test_losses_are_logged_and_validated(finished: tuple[str, Path]) -> None:
    _, out = finished
    assert all(record["loss"] > 0 for record in records(out, "train"))
    assert records(out, "valid")[-1]["loss"] > 0


def test_what_a_run_leaves_speaks(finished: tuple[str, Path]) -> None:
    stage, out = finished
    if stage == "content_lm":  # a part of Vevo
        assert isinstance(load_model(out / "model"), VevoLM)
        return
    tts = ZeroShotTTS.from_pretrained(out / "system")
    voice = tts.create_voice(speech_like(2.0), "This is a test.")
    spoken = tts.generate("Hello.", voice, seed=1)
    assert spoken.seconds > 0.1 and tts.synthesizer.settings.name == stage


def test_rows_are_the_recordings_in_whole_patches(material: Path, codec: Path) -> None:
    corpus, found = Corpus.open(material / "corpus"), VAECodec.from_pretrained(codec)
    rows = LatentRows(corpus, found, patch_size=4)
    latents, patches = rows.latents(1), rows.patches(1)
    assert len(latents) % 4 == 0 and torch.equal(patches.flatten(0, 1), latents)
    waveform = corpus.waveform(1)
    missing = len(latents) * found.hop_length - len(waveform)
    assert 0 <= missing < 4 * found.hop_length
    silent = torch.nn.functional.pad(waveform, (missing, 0))  # at the beginning
    torch.testing.assert_close(found.encode_latents(silent[None, None])[0].T, latents)


def test_content_is_read_without_repeats(material: Path, speech: Path) -> None:
    corpus = Corpus.open(material / "corpus")
    tokens = TokenCorpus.open(corpus, [speech / "tokens" / "0"])
    read, units = content_lm.Rows(corpus, tokens, tokens, 4).row(1)
    assert torch.equal(read, units.unique_consecutive() + 4)


def test_voxcpm_begins_from_a_language_model(
    material: Path, codec: Path, speech: Path, tmp_path: Path
) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    shape = AutoConfig.for_model(
        "gpt2", n_embd=32, n_layer=1, n_head=2, n_positions=512, vocab_size=70, bos_token_id=1,
        eos_token_id=2,
    )  # fmt: skip
    lm = AutoModelForCausalLM.from_config(shape)
    lm.save_pretrained(tmp_path / "lm")
    given = [f"lm={tmp_path / 'lm'}", "loop.steps=2", "loop.warmup_steps=1",
             "loop.validate_every=2", "loop.learning_rate=1e-9"]  # fmt: skip
    out = tmp_path / "run"
    assert voxcpm.main(arguments("voxcpm", material, codec, speech, out, *given)) == 0
    model = VoxCPM.from_pretrained(tmp_path / "run" / "model")
    assert model.config.lm["model_type"] == "gpt2"
    wanted = lm.base_model.state_dict()["h.0.attn.c_attn.weight"]
    torch.testing.assert_close(
        model.lm.state_dict()["h.0.attn.c_attn.weight"], wanted, atol=1e-5, rtol=0
    )


@pytest.mark.parametrize(
    ("stage", "override", "words"),
    [
        ("voxcpm", "model.latent_dim=7", "model.latent_dim must be 6, as of the codec, but is 7"),
        ("voxcpm", "model.start_id=9", "model.start_id must be above"),
        ("melody", "model.latent_dim=7", "model.latent_dim must be 6, but is 7"),
        ("melody", "model.num_units=99", "model.num_units must be 16, but is 99"),
        ("content_lm", "shift=3", "model.text_vocab_size must be 19, but is 20"),
        ("content_lm", "model.codebook_size=9", "model.codebook_size must be 16, but is 9"),
        ("content_lm", "kind=monotonic_lm", "a semantic model without alignment"),
        ("melody", "model.frames_per_unit=3", "model.frames_per_unit must be 1, but is 3"),
    ],
)
def test_what_does_not_fit_is_told(
    stage: str,
    override: str,
    words: str,
    material: Path,
    codec: Path,
    speech: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert MAINS[stage](arguments(stage, material, codec, speech, tmp_path, override)) == 1
    assert words in capsys.readouterr().err


def test_a_codec_without_latents_is_refused(
    material: Path, speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from uslm_tokenizer.codecs.speech_tokenizer.model import SpeechTokenizer

    other = SpeechTokenizer(SpeechTokenizer.tiny_config()).save_pretrained(tmp_path / "codec")
    assert voxcpm.main(arguments("voxcpm", material, other, speech, tmp_path / "run")) == 1
    assert "codec must have latents" in capsys.readouterr().err
