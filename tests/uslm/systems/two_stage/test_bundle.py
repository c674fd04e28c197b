"""A speaking model is one folder; what does not fit is named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from uslm.generate.sampling import Sampling
from uslm.models import folders
from uslm.systems.two_stage.bundle import (
    Bundle,
    load_bundle,
    save_bundle,
)
from uslm.systems.two_stage.config import BundleConfig, FrontendConfig
from uslm.systems.two_stage.facts import read_bundle_config
from uslm.systems.two_stage.nar import AcousticLM
from uslm.systems.two_stage.tiny import TINY, speech_like
from uslm.text.vocab import SentencePieceVocab
from uslm.tts import ZeroShotTTS
from uslm.voices.prompt import VoicePrompt
from uslm_tokenizer.errors import ConfigError, MissingResource


@pytest.fixture
def folder(bundle: Bundle, tmp_path: Path) -> Path:
    return save_bundle(bundle, tmp_path / "model")


def edit(folder: Path, **changes: object) -> None:
    path = folder / "bundle.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_loaded_model_speaks_as_the_saved_one(
    folder: Path, tts: ZeroShotTTS, voice: VoicePrompt
) -> None:
    loaded = ZeroShotTTS.from_pretrained(folder)
    assert loaded.synthesizer.hash == tts.synthesizer.hash
    one, other = (t.generate("Hello.", voice, seed=1).waveform for t in (tts, loaded))
    assert torch.equal(one, other)


def test_the_folder_is_complete(folder: Path) -> None:
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    parts = ("tokenizer", "semantic", "acoustic")
    assert files == {"bundle.json", "README.md"} | {
        f"{part}/{name}" for part in parts for name in ("config.json", "model.safetensors")
    }


def test_half_precision_on_disk_is_float32_in_memory(bundle: Bundle, tmp_path: Path) -> None:
    loaded = load_bundle(save_bundle(bundle, tmp_path / "half", dtype=torch.float16))
    assert loaded.semantic.dtype == torch.float32
    assert loaded.hash != bundle.hash


def test_every_setting_survives(bundle: Bundle, tmp_path: Path) -> None:
    config = BundleConfig(
        name="other", language="de", sampling=Sampling(top_k=7), use_prompt_units=False
    )
    other = replace(bundle, config=config)
    assert read_bundle_config(save_bundle(other, tmp_path / "other")) == config


def test_a_model_may_read_subwords(bundle: Bundle, tmp_path: Path) -> None:
    sentences = [f"the {word} fox jumps over {word} dogs" for word in ("quick", "lazy", "brown")]
    vocab = SentencePieceVocab.train(sentences * 20, size=300)
    semantic = type(bundle.semantic)(replace(bundle.semantic.config, text_vocab_size=300)).eval()
    acoustic = type(bundle.acoustic)(replace(bundle.acoustic.config, text_vocab_size=300)).eval()
    config = replace(TINY, frontend=FrontendConfig(vocab="sentencepiece"))
    made = replace(bundle, config=config, semantic=semantic, acoustic=acoustic, vocab=vocab)
    tts = ZeroShotTTS.from_pretrained(save_bundle(made, tmp_path / "segments"))
    voice = tts.create_voice(speech_like(3.0))
    assert not len(voice.text_ids)
    speech = tts.generate("The quick dogs.", voice, seed=1, verify=True, retries=0)
    assert speech.segments[0].phoneme_error_rate is not None


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"langage": "de"}, "did you mean 'language'"),
        ({"sampling": {"temperature": 9.0}}, "temperature must be"),
        ({"sampling": {"top_q": 1}}, "sampling.top_q"),
        ({"frontend": {"vocab": "runes"}}, "frontend.vocab"),
        ({"format": 99}, "upgrade uslm"),
        ({"format": None}, "format"),
        ({"batch_size": 0}, "batch_size"),
        ({"length": {"min_frames_per_symbol": 9.0}}, "min_frames_per_symbol"),
    ],
)
def test_a_wrong_setting_is_named(folder: Path, changes: dict[str, object], named: str) -> None:
    edit(folder, **changes)
    with pytest.raises(ConfigError, match=named):
        load_bundle(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe"])
def test_a_damaged_bundle_file_is_named(folder: Path, content: bytes) -> None:
    (folder / "bundle.json").write_bytes(content)
    with pytest.raises(ConfigError, match=r"bundle\.json"):
        load_bundle(folder)


def test_a_wrong_tensor_is_named_with_its_shape(folder: Path) -> None:
    path = folder / "semantic" / "model.safetensors"
    tensors = load_file(path)
    save_file(tensors | {"to_logits.weight": torch.zeros(3, 32)}, path)
    with pytest.raises(ConfigError, match=r"'to_logits.weight' has shape \(3, 32\).*\(33, 32\)"):
        load_bundle(folder)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ConfigError, match="semantic"):
        load_bundle(folder)


def test_parts_in_the_wrong_place_are_named(folder: Path) -> None:
    (folder / "semantic").rename(folder / "spare")
    (folder / "acoustic").rename(folder / "semantic")
    (folder / "spare").rename(folder / "acoustic")
    with pytest.raises(ConfigError, match="'semantic' must hold a first stage"):
        load_bundle(folder)


def test_parts_of_different_models_are_refused(bundle: Bundle) -> None:
    config = replace(AcousticLM.tiny_config(), num_codebooks=3, codebook_groups=(1, 1))
    with pytest.raises(ConfigError, match="4 codebooks, but stage 2 was made for 3"):
        replace(bundle, acoustic=AcousticLM(config))


@pytest.mark.parametrize("groups", [(1, 1), (1, 1, 1, 1), (2, 2), (3, 0), (4, -1), ()])
def test_groups_that_do_not_fit_the_codebooks_are_refused(groups: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"codebook_groups must .* add up to 3, .* but are \["):
        replace(AcousticLM.tiny_config(), codebook_groups=groups)
    replace(AcousticLM.tiny_config(), codebook_groups=(2, 1))


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    for name in (tmp_path, tmp_path / "none", "no-such-model", "./a/b", "a/b/c"):
        with pytest.raises(MissingResource):
            load_bundle(name)


def test_the_default_model_may_be_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(folders, "__file__", str(tmp_path / "uslm/models/folders.py"))
    with pytest.raises(MissingResource, match="without the default model"):
        folders.resolve_bundle("default")


def test_a_repository_of_the_hub_is_fetched_with_its_folders(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    asked: dict[str, object] = {}

    def snapshot_download(repo_id: str, **options: object) -> str:
        asked.update(options, repo_id=repo_id)
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert load_bundle("someone/model", revision="v2").config.name == "tiny"
    assert (asked["repo_id"], asked["revision"]) == ("someone/model", "v2")
    patterns = asked["allow_patterns"]
    assert isinstance(patterns, list)
    assert {"bundle.json", "tokenizer/*.safetensors", "acoustic/*.json"} <= set(patterns)
