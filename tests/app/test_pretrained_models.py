"""Each pretrained system that speaks, from its repositories to a sound, by its name alone.

The repositories are laid out as the real ones and hold small random weights.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
import transformers
from safetensors.torch import save

from uslm.systems.catalogue import CATALOGUE, KEY_MAPPINGS
from uslm.systems.valle.text import SYMBOLS
from uslm_tokenizer.pretrained import build, catalogue
from uslm_tokenizer.pretrained import source as sources
from uslm_tokenizer.pretrained.catalogue import SpeechEncoder, Weights
from uslm_tokenizer.pretrained.export import small_checkpoint
from uslm_tokenizer.pretrained.golden import read_golden
from uslm_tokenizer.pretrained.mappings import key_mapping_of_system
from uslm_tokenizer.pretrained.source import HubFile, WebFile
from uslm_tokenizer.pretrained.testing import HubServer, isolated_hub

Uslm = Callable[..., Any]

GOLDEN = Path(__file__).parents[1] / "parity" / "golden"
INDEX = json.loads((GOLDEN / "manifests" / "index.json").read_text("utf-8"))

STAGE = {"hidden_size": 16, "num_layers": 1, "num_heads": 2, "cond_codebook_size": 32}
LM = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
SMALL: dict[str, dict[str, Any]] = {
    "speechtokenizer_elu": {"n_filters": 2, "dimension": 16, "semantic_dimension": 8, "n_q": 3},
    "maskgct_semantic_codec": {
        "codebook_size": 32,
        "hidden_size": 16,
        "codebook_dim": 4,
        "vocos_dim": 8,
        "vocos_intermediate_dim": 16,
        "vocos_num_layers": 1,
    },
    "maskgct_acoustic_encoder": {"d_model": 2, "out_channels": 8},
    "maskgct_acoustic_decoder": {
        "in_channels": 8,
        "num_quantizers": 3,
        "codebook_size": 32,
        "codebook_dim": 4,
        "vocos_dim": 12,
        "vocos_intermediate_dim": 24,
        "vocos_num_layers": 1,
    },
    "maskgct_t2s": STAGE,
    "maskgct_s2a_1layer": {**STAGE, "codebook_size": 32},
    "maskgct_s2a_full": {**STAGE, "num_quantizer": 3, "codebook_size": 32},
    "vevo_content_tokenizer_c32": {
        "codebook_size": 8,
        **dict.fromkeys(
            ["code_dim", "decode_channels", "encode_channels", "input_channels", "output_channels"],
            16,
        ),
    },
    "vevo_ar_phone_to_vq8192": {**LM, "output_vocab_size": 32},
    "vevo_ar_vq32_to_vq8192": {**LM, "input_vocab_size": 1032, "output_vocab_size": 32},
    "vevo_flow_matching": {**STAGE, "mel_dim": 128},
    "vevo_vocoder": {"dim": 12, "intermediate_dim": 24, "num_layers": 1},
}
"""What is smaller than published."""

ENCODERS = {
    "wav2vec2-bert": {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32},
    "hubert": {
        "hidden_size": 16,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "conv_dim": [8] * 7,
        "num_conv_pos_embeddings": 8,
        "num_conv_pos_embedding_groups": 2,
    },
}


def pretrained_config(key_mapping: str, name: str) -> Mapping[str, Any]:
    """Of the address of a key mapping, the small config that stands for its entry."""
    if name == "uslm":
        return read_golden(GOLDEN / "valle_prefix4.safetensors").config
    return {**catalogue.pretrained_config(key_mapping, name), **SMALL[name]}


def weights_of(component: Weights, name: str) -> dict[str, torch.Tensor]:
    """Named as published."""
    if name == "uslm":
        return read_golden(GOLDEN / "valle_prefix4.safetensors").weights
    entry = INDEX[{"vevo_ar_phone_to_vq8192": "vevo_ar_vq32_to_vq8192"}.get(name, name)]
    manifest = json.loads((GOLDEN / "manifests" / entry["file"]).read_text("utf-8"))
    key_mapping = key_mapping_of_system(entry["system"], KEY_MAPPINGS)
    assert key_mapping.name == component.key_mapping
    shapes = {name: shape for name, (shape, _) in manifest.items()}
    return small_checkpoint(
        key_mapping, pretrained_config(KEY_MAPPINGS[key_mapping.name], name), shapes
    )


def packed(state: dict[str, torch.Tensor], path: str) -> bytes:
    """As the real file wraps its weights."""
    if path.endswith(".safetensors"):
        return save(state)
    wrapped: Any = {"model": {"repcodec": state}} if path.endswith(".pkl") else state
    if path.endswith("USLM.pt"):
        wrapped = {"model": state, "optimizer": None, "exp_dir": Path("exp")}
    buffer = io.BytesIO()
    torch.save(wrapped, buffer)
    return buffer.getvalue()


def encoder_files(segment: SpeechEncoder, folder: Path) -> dict[str, bytes]:
    """What transformers would have saved."""
    family = str(segment.backbone["model_type"])
    options = {**segment.backbone, **ENCODERS[family], "num_hidden_layers": segment.layer + 1}
    del options["model_type"]
    config = transformers.AutoConfig.for_model(family, **options)
    model = transformers.AutoModel.from_config(config)
    config.save_pretrained(folder)
    weights = model.state_dict()
    return {
        "config.json": (folder / "config.json").read_bytes(),
        "preprocessor_config.json": b'{"do_normalize": true}',
        segment.weights: save(weights) if "safetensors" in segment.weights else packed(weights, ""),
    }


def other_file(source: HubFile | WebFile) -> bytes:
    """Statistics, or a table of symbols."""
    address = source.address
    if address.endswith((".pt", ".npz")):
        buffer = io.BytesIO()
        if address.endswith(".pt"):
            torch.save({"mean": torch.zeros(16), "var": torch.ones(16)}, buffer)
        else:
            import numpy as np

            np.savez(buffer, mean=np.zeros(16), std=np.ones(16))
        return buffer.getvalue()
    if address.endswith("vocab.json"):
        sounds = "_,.?!:;'…abdefhijklmnopstuvwzæðŋɐɑɔəɚɛɜɡɪɹɾʃʊʌʒθː"  # noqa: RUF001
        return json.dumps({"vocab": {sound: place for place, sound in enumerate(sounds)}}).encode()
    if address.endswith("config.json"):
        config = pretrained_config(KEY_MAPPINGS["speech_tokenizer"], "speechtokenizer_elu")
        return json.dumps(dict(config)).encode()
    assert address.endswith("k2symbols"), address
    return "".join(f"{symbol} {place}\n" for place, symbol in enumerate(SYMBOLS)).encode()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    monkeypatch.setattr(build, "pretrained_config", pretrained_config)
    with isolated_hub(tmp_path / "cache") as server:
        yield server


def publish(name: str, hub: HubServer, folder: Path) -> None:
    """Put all files of a system where it looks for them."""
    system = CATALOGUE.get(name)
    files: dict[Any, bytes] = {}
    for component in (component for part in system.parts for component in part.components):
        if isinstance(component, Weights):
            config = (
                component.config if isinstance(component.config, str) else component.usual_config
            )
            assert isinstance(component.file, HubFile)
            files[component.file] = packed(weights_of(component, config), component.file.path)
        elif component.files[0] not in files:
            found = encoder_files(component, folder)
            files |= {file: found[file.path] for file in component.files}
    for source in system.sources:
        assert isinstance(source, HubFile | WebFile)
        content = files[source] if source in files else other_file(source)
        if isinstance(source, WebFile):  # from another server: as if downloaded before
            path = sources.asset_path(source)
            path.parent.mkdir(parents=True)
            path.write_bytes(content)
            continue
        hub.repos.setdefault(source.repo, {})[source.path] = content
        if source.revision != sources.MAIN:
            hub.commits[source.repo] = source.revision


@pytest.mark.parametrize("name", ["uslm", "maskgct", "vevo"])
def test_a_name_is_enough_to_speak(
    name: str, uslm: Uslm, hub: HubServer, tiny_files: Path, tmp_path: Path
) -> None:
    publish(name, hub, tmp_path)
    voice = ("--model", name, "--prompt", tiny_files / "prompt.wav", "--prompt-text", "Some words.")
    result = uslm("say", *voice, "--text", "Yes.", "--out", "yes.wav", "--seed", 1)
    assert result.code == 0, result.stderr
    samples, rate = soundfile.read(tmp_path / "yes.wav")
    assert len(samples) > 0.05 * rate
    health = json.loads(uslm("models", "verify", name, "--json").out)[name]
    others = {
        source.address for source in CATALOGUE.get(name).sources if isinstance(source, WebFile)
    }
    assert {address for address, state in health.items() if state != "ok"} <= others


def test_vevo_converts_too(uslm: Uslm, hub: HubServer, tiny_files: Path, tmp_path: Path) -> None:
    publish("vevo", hub, tmp_path)
    prompt = tiny_files / "prompt.wav"
    given = ("--model", "vevo", "--source", prompt, "--prompt", prompt)
    result = uslm("convert", *given, "--out", "as.wav", "--seed", 1)
    assert result.code == 0, result.stderr
    samples, rate = soundfile.read(tmp_path / "as.wav")
    assert len(samples) > rate
