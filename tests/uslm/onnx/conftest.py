"""A tiny model and its graphs, exported once for all tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from uslm.generate.length import LengthConfig
from uslm.onnx.synthesizer import OnnxSynthesizer
from uslm.systems.two_stage.bundle import Bundle
from uslm.systems.two_stage.config import BundleConfig
from uslm.systems.two_stage.conv_regressor import ConvRegressor
from uslm.systems.two_stage.monotonic import MonotonicLM
from uslm.systems.two_stage.onnx_export import export_onnx
from uslm.systems.two_stage.tiny import tiny_pitched_bundle, tiny_voice
from uslm.tts import ZeroShotTTS
from uslm.voices.prompt import VoicePrompt

TINY = BundleConfig(name="tiny", length=LengthConfig(max_frames_per_symbol=4.0, margin_frames=20))


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    """The default model's kinds of parts, with random weights; units count for .4, and spectra
    are sharpened.

    What comes before weighs more than at random, and the text is read slowly: else neither would
    change what is said.
    """
    made = tiny_pitched_bundle(TINY)
    acoustic, semantic = made.acoustic, made.semantic
    assert isinstance(acoustic, ConvRegressor) and isinstance(semantic, MonotonicLM)
    acoustic.config = replace(acoustic.config, unit_weight=0.4, contrast=1.5)
    semantic.config = replace(semantic.config, advance_threshold=12.0)
    draw = torch.Generator().manual_seed(2)
    for table in (acoustic.from_latents.weight, acoustic.known_embedding.weight):
        torch.nn.init.normal_(table, std=2.0, generator=draw)
    return Bundle(made.config, made.tokenizer, semantic, acoustic)


@pytest.fixture(scope="session")
def voice(bundle: Bundle) -> VoicePrompt:
    """A voice of random codes, whose symbols are known in part."""
    made = tiny_voice(bundle)
    codes = made.codes.clone()
    codes[1] %= bundle.tokenizer.num_pitches
    draw = torch.Generator().manual_seed(3)
    spoken = torch.randint(-1, 53, (codes.shape[1],), generator=draw).to(torch.int16)
    shifts = {
        "pooled": 3 * torch.randn(32, generator=draw),
        "output": torch.randn(24, generator=draw),
    }
    extras = {"spoken": spoken, **{f"fit.{name}": each for name, each in shifts.items()}}
    return replace(made, codes=codes, extras=extras)


@pytest.fixture(scope="session")
def folder(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exported model, and in it a voice. Read only."""
    return export_onnx(bundle, tmp_path_factory.mktemp("onnx") / "tiny")


@pytest.fixture(scope="session")
def voice_file(voice: VoicePrompt, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The voice on disk."""
    return voice.save(tmp_path_factory.mktemp("voices") / "babble.safetensors")


@pytest.fixture(scope="session")
def tts(bundle: Bundle) -> ZeroShotTTS:
    """With PyTorch."""
    return ZeroShotTTS(bundle)


@pytest.fixture(scope="session")
def synthesizer(folder: Path) -> OnnxSynthesizer:
    """Without."""
    return OnnxSynthesizer(folder, threads=1)
