"""VoxCPM by its name: the published files, small, are downloaded, converted, and speak."""

from __future__ import annotations

import importlib.util
import io
import json
import string
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.normalizers import Replace

from uslm import ZeroShotTTS
from uslm.systems.two_stage.tiny import speech_like
from uslm.systems.voxcpm.entry import COMMIT
from uslm.text.subwords import SPACE, SubwordVocab
from uslm_tokenizer.errors import UserError
from uslm_tokenizer.pretrained import build
from uslm_tokenizer.pretrained.testing import HubServer, isolated_hub

TESTS = Path(__file__).parents[3]
REPO = "openbmb/VoxCPM-0.5B"


def module(path: str) -> ModuleType:
    """Another file of tests, for the description of what is published that it holds."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, TESTS / path)
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    network = module("uslm/systems/voxcpm/test_model.py")
    codec = module("tokenizer/codecs/test_audio_vae.py").Reference()
    monkeypatch.setattr(build, "pretrained_config", lambda *_: codec.config)
    signs = [SPACE, *string.ascii_letters, *".,!?'"]
    subwords = Tokenizer(BPE({sign: i for i, sign in enumerate(signs)}, []))
    subwords.normalizer = Replace(" ", SPACE)
    with isolated_hub(tmp_path / "cache") as server:
        server.repos[REPO] = {
            "config.json": json.dumps(network.SMALL).encode(),
            "pytorch_model.bin": packed(network.Published(network.SMALL).state()),
            "audiovae.pth": packed(codec.state()),
            "tokenizer.json": subwords.to_str().encode(),
        }
        server.commits[REPO] = COMMIT
        yield server


def packed(state: dict[str, torch.Tensor]) -> bytes:
    buffer = io.BytesIO()
    torch.save({"state_dict": state}, buffer)
    return buffer.getvalue()


def test_its_name_is_enough(hub: HubServer) -> None:
    tts = ZeroShotTTS.from_pretrained("voxcpm")
    assert isinstance(tts.synthesizer.frontend().vocab, SubwordVocab)  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="transcript"):
        tts.create_voice(speech_like(2.0))
    voice = tts.create_voice(speech_like(2.0), "This is a test.")
    assert len(voice.text_ids) == len("This is a test.")
    tts.synthesizer.settings = replace(tts.synthesizer.settings, redraws=0)  # type: ignore
    spoken = tts.generate("Yes.", voice, seed=1)
    assert spoken.seconds > 0 and bool(spoken.waveform.isfinite().all())
    assert {path.split("/")[-1] for path in hub.asked} >= {"config.json", "audiovae.pth"}
