"""The default model, exported: what it says is what it says with PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from uslm.onnx.synthesizer import OnnxSynthesizer
from uslm.systems.two_stage.bundle import load_bundle
from uslm.systems.two_stage.onnx_export import export_onnx
from uslm.tts import ZeroShotTTS
from uslm_tokenizer.nn.spectral import LogMel

PROMPT = sorted((Path(__file__).parents[3] / "examples").glob("*.wav"))[0]


def test_the_log_spectrum_is_the_same_to_a_thousandth(tmp_path: Path) -> None:
    bundle = load_bundle()
    tts = ZeroShotTTS(bundle)
    voice = tts.create_voice(PROMPT)
    synthesizer = OnnxSynthesizer(export_onnx(bundle, tmp_path / "onnx"), threads=1)
    own, _ = synthesizer.create_voice(PROMPT)
    assert np.array_equal(own.codes, voice.codes.numpy())
    chunks = list(synthesizer.stream("Good morning to you.", own, seed=1))
    found = torch.from_numpy(np.concatenate([chunk.samples for chunk in chunks]))
    wanted = tts.generate("Good morning to you.", voice, seed=1).waveform[0]
    assert found.shape == wanted.shape
    mel = LogMel(16_000, 512, 160, 64, floor=1e-4)
    whole = len(found) // 160 * 160
    one, other = (mel(each[None, None, :whole]) for each in (found, wanted))
    assert float((one - other).abs().max()) < 1e-3
    assert float(one.std()) > 1
