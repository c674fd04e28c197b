"""What stage 1 knows of the text reaches stage 2, frame by frame."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from uslm.generate.codebooks import fill_codebooks
from uslm.generate.length import LengthConfig
from uslm.models.base import AcousticRow
from uslm.serving.engine import Engine
from uslm.systems.two_stage.bundle import Bundle
from uslm.systems.two_stage.config import BundleConfig
from uslm.systems.two_stage.monotonic import MonotonicLM
from uslm.systems.two_stage.regressor import AcousticRegressor
from uslm.systems.two_stage.tiny import tiny_voice
from uslm.tts import ZeroShotTTS
from uslm_tokenizer.codecs.unit_codec.model import UnitCodec

TEXT = "Hello there. How are you?"


def reading_bundle(*, use_prompt_units: bool) -> Bundle:
    """The default model's kinds of stages, with random weights."""
    config = BundleConfig(
        name="tiny",
        length=LengthConfig(max_frames_per_symbol=2.0, margin_frames=5),
        use_prompt_units=use_prompt_units,
    )
    regressor = AcousticRegressor(AcousticRegressor.tiny_config())
    for parameter in regressor.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return Bundle(
        config,
        UnitCodec(UnitCodec.tiny_config()).eval(),
        MonotonicLM(MonotonicLM.tiny_config()).eval(),
        regressor.eval(),
    )


@pytest.mark.parametrize("use_prompt_units", [False, True])
def test_each_frame_knows_its_symbol_of_the_text_to_speak(
    use_prompt_units: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, seen = reading_bundle(use_prompt_units=use_prompt_units), list[AcousticRow]()

    def watched(model: Any, rows: list[AcousticRow], **options: Any) -> Any:
        seen.extend(rows)
        return fill_codebooks(model, rows, **options)

    monkeypatch.setattr("uslm.systems.two_stage.parts.fill_codebooks", watched)
    speech = ZeroShotTTS(bundle).generate(TEXT, tiny_voice(bundle), seed=3)
    assert speech.units.shape[-1] > 10 and seen
    for row in seen:
        assert row.text_positions is not None and row.text_ids is not None
        text_positions = row.text_positions.tolist()
        assert len(text_positions) == row.codes.shape[1] and text_positions == sorted(
            text_positions
        )
        # The prompt's text, which stage 1 may read before it, is not counted.
        assert text_positions[0] >= 0 and text_positions[-1] < len(row.text_ids)
        # (Behind a prompt, random weights may have read on by then.)
        assert text_positions[0] == 0 or row.start > 0 or use_prompt_units


@pytest.mark.parametrize("use_prompt_units", [False, True])
def test_streams_and_shared_steps_say_the_same(use_prompt_units: bool) -> None:
    bundle = reading_bundle(use_prompt_units=use_prompt_units)
    voice = tiny_voice(bundle)
    whole = ZeroShotTTS(bundle).generate(TEXT, voice, seed=3).waveform
    chunks = ZeroShotTTS(bundle).stream(TEXT, voice, seed=3)
    assert torch.equal(torch.cat([chunk.waveform for chunk in chunks], dim=-1), whole)
    with Engine(bundle) as engine:
        shared = torch.cat([c.waveform for c in engine.submit(TEXT, voice, seed=3)], dim=-1)
    assert shared.shape == whole.shape
    torch.testing.assert_close(shared, whole, rtol=1e-3, atol=1e-3)
