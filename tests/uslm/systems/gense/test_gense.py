"""GenSE, whole: what each stage is given, windows, and recordings and parts that do not do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from uslm import VoiceConverter, VoicePrompt
from uslm.synthesis.protocols import Converter, Synthesizer
from uslm.systems.gense import pipeline
from uslm.systems.gense.model import CLEAN_UNITS, NOISY_CODES, NOISY_UNITS, kinds_of
from uslm.systems.gense.pipeline import Gense
from uslm.systems.gense.settings import GenseSettings
from uslm.systems.gense.tiny import save_tiny_gense, tiny_parts
from uslm.systems.loading import load_converter, load_synthesizer, read_imitates, read_settings
from uslm.systems.model_parts import Parts
from uslm.systems.two_stage.bundle import Bundle
from uslm.systems.two_stage.tiny import speech_like
from uslm_tokenizer.audio.read import Audio
from uslm_tokenizer.codecs.waveform_codec.model import WaveformCodec
from uslm_tokenizer.errors import AudioError, ConfigError, UserError


def gense(settings: GenseSettings | None = None, **others: Any) -> Gense:
    return Gense(Parts({**tiny_parts(), **others}), settings)


def test_a_folder_loads_as_a_converter_that_asks_for_no_voice(
    tmp_path: Path, voice: VoicePrompt, bundle: Bundle
) -> None:
    save_tiny_gense(tmp_path)
    found = load_converter(tmp_path)
    assert isinstance(found, Converter) and not isinstance(found, Synthesizer)
    assert found.hash == gense().hash
    assert read_settings(tmp_path).name == "gense" and read_imitates(tmp_path) == ("timbre",)
    noisy = speech_like(1.03)
    cleaned = VoiceConverter(found).convert(noisy, seed=1)
    assert cleaned.waveform.shape == noisy.waveform.shape and cleaned.voice == ""
    again = VoiceConverter(load_converter(tmp_path)).convert(noisy, seed=1)
    assert torch.equal(again.waveform, cleaned.waveform)
    assert not torch.equal(VoiceConverter(found).convert(noisy, seed=2).waveform, cleaned.waveform)
    with pytest.raises(UserError, match="takes no voice"):
        VoiceConverter(found).convert(noisy, voice)
    with pytest.raises(UserError, match="makes no voices"):
        found.create_voice(bundle.frontend(), noisy)
    for refused in (
        load_synthesizer,
        lambda folder: VoiceConverter(load_converter(folder)).frontend,
    ):
        with pytest.raises(UserError, match=r"(speaks|reads) no text"):
            refused(tmp_path)


def test_stages_are_given_the_tokens_of_the_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cleaner its units; the speaker those, what the cleaner wrote, and its codes."""
    given: list[dict[str, Tensor]] = []
    run = pipeline.run_stages

    def seen(stages: Any, known: dict[str, Tensor], **more: Any) -> dict[str, Tensor]:
        given.append(dict(known))
        return run(stages, known, **more)

    monkeypatch.setattr(pipeline, "run_stages", seen)
    model, noisy = gense(), speech_like(1.0)
    cleaned = VoiceConverter(model).convert(noisy, seed=1)
    waveform = noisy.waveform[None]
    units, codes = model.units.encode(waveform)[0, 0], model.codec.encode(waveform)[0, 0]
    first, second = given
    assert first.keys() == {NOISY_UNITS} and torch.equal(first[NOISY_UNITS], units)
    assert second.keys() == {NOISY_UNITS, CLEAN_UNITS, NOISY_CODES}
    assert torch.equal(second[NOISY_UNITS], units) and torch.equal(second[NOISY_CODES], codes)
    assert len(second[CLEAN_UNITS]) == len(units) and not torch.equal(second[CLEAN_UNITS], units)
    assert cleaned.codes.shape == (1, len(codes))


def test_without_its_prompt_the_speaker_reads_units_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[set[str]] = []
    run = pipeline.run_stages

    def seen(stages: Any, known: dict[str, Tensor], **more: Any) -> dict[str, Tensor]:
        given.append(set(known))
        return run(stages, known, **more)

    monkeypatch.setattr(pipeline, "run_stages", seen)
    noisy = speech_like(1.0)
    cleaned = VoiceConverter(gense(GenseSettings(prompted=False))).convert(noisy, seed=1)
    assert given == [{NOISY_UNITS}, {NOISY_UNITS, CLEAN_UNITS}]
    whole = VoiceConverter(gense()).convert(noisy, seed=1)
    assert cleaned.codes.shape == whole.codes.shape and not torch.equal(cleaned.codes, whole.codes)


def test_long_recordings_go_in_windows_and_lose_nothing() -> None:
    whole = gense(GenseSettings(window_seconds=1.0))
    noisy = speech_like(3.7)
    cleaned = VoiceConverter(whole).convert(noisy, seed=1)
    assert cleaned.waveform.shape == noisy.waveform.shape
    assert cleaned.codes.shape[1] == whole.codec.encode(noisy.waveform[None]).shape[2]
    first = VoiceConverter(whole).convert(Audio(noisy.waveform[:, :16_000], 16_000), seed=1)
    assert torch.equal(cleaned.codes[:, : first.codes.shape[1]], first.codes)


@pytest.mark.parametrize(
    ("waveform", "message"),
    [
        (torch.zeros(1, 0), "is empty"),
        (torch.zeros(1, 8000), "is silent"),
        (torch.full((1, 8000), torch.nan), "NaN or infinite"),
    ],
)
def test_what_cannot_be_heard_is_refused(waveform: Tensor, message: str) -> None:
    with pytest.raises(AudioError, match=message):
        VoiceConverter(gense()).convert(Audio(waveform, 16_000), seed=1)


def test_parts_that_do_not_fit_are_named() -> None:
    parts: Any = tiny_parts()
    other = kinds_of(num_units=7, unit_rate=50.0)
    config = replace(parts["cleaner"].config, kinds=other)
    with pytest.raises(ConfigError, match="cleaner was made for 7 noisy units of 50 Hz, but"):
        gense(cleaner=type(parts["cleaner"])(config))
    with pytest.raises(ConfigError, match="codec must give one code a frame, but gives 3"):
        gense(codec=WaveformCodec(WaveformCodec.tiny_config()))
    with pytest.raises(UserError, match="no kind of token 'noisy codes'"):
        gense(speaker=parts["cleaner"])
    with pytest.raises(ConfigError, match="window_seconds must be above 0"):
        GenseSettings(window_seconds=0.0)
