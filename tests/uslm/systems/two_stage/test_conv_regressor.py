"""Stage 2 by convolutions: what it is told of a voice, and of what is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from uslm.models.base import AcousticRow, VoiceFit
from uslm.systems.two_stage.conv_regressor import ConvRegressor
from uslm.systems.two_stage.tiny import TINY, speech_like, tiny_pitched_bundle, tiny_voice
from uslm.systems.two_stage.voice_fitting import FitConfig, fit_voice
from uslm.tts import ZeroShotTTS
from uslm.voices.prompt import VoicePrompt
from uslm_tokenizer.errors import ConfigError

CLOSE = {"atol": 1e-5, "rtol": 1e-5}


@pytest.fixture
def model() -> ConvRegressor:
    torch.manual_seed(0)
    built = ConvRegressor(ConvRegressor.tiny_config()).eval()
    for parameter in built.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return built


def row(*, prompt_frames: int = 12, num_frames: int = 9, seed: int = 0) -> AcousticRow:
    draw = torch.Generator().manual_seed(seed)
    return AcousticRow(
        prompt=torch.randint(32, (5, prompt_frames), generator=draw),
        codes=torch.randint(32, (5, num_frames), generator=draw),
        text_ids=torch.tensor([3, 1, 4]),
        text_positions=torch.arange(num_frames) * 3 // num_frames,
    )


def predicted(model: ConvRegressor, *rows: AcousticRow) -> torch.Tensor:
    with torch.no_grad():
        return model.predict(model.batch(rows))


def test_what_is_remembered_of_a_voice_is_what_is_read_of_it(model: ConvRegressor) -> None:
    one, other = row(), row(prompt_frames=20, num_frames=5, seed=1)
    keeping = [replace(each, memory=model.remember(each)) for each in (one, other)]
    assert torch.equal(predicted(model, keeping[0]), predicted(model, one))
    together, read = predicted(model, *keeping), predicted(model, one, other)
    torch.testing.assert_close(together[0], read[0], **CLOSE)
    torch.testing.assert_close(together[1, :5], read[1, :5], **CLOSE)


def test_pitch_and_symbols_of_the_prompt_are_heard(model: ConvRegressor) -> None:
    higher, reported = row(), replace(row(), prompt_spoken=torch.arange(12))
    higher.codes[1] = (higher.codes[1] + 1) % 32
    before = predicted(model, row())
    assert not torch.allclose(predicted(model, higher), before, **CLOSE)
    assert not torch.allclose(predicted(model, reported), before, **CLOSE)


def test_units_count_less_only_where_the_symbol_is_known(model: ConvRegressor) -> None:
    halves = ConvRegressor(replace(model.config, unit_weight=0.5)).eval()
    halves.load_state_dict(model.state_dict())
    unknown = replace(row(), text_positions=None)
    assert torch.equal(predicted(halves, unknown), predicted(model, unknown))
    hidden = row()
    hidden.codes[0] = model.hidden_unit
    mean = (predicted(model, row()) + predicted(model, hidden)) / 2
    torch.testing.assert_close(predicted(halves, row()), mean, **CLOSE)


def test_peaks_and_valleys_of_each_frame_are_enlarged(model: ConvRegressor) -> None:
    """Each of the two mel frames of a latent for itself; what is flat stays."""
    sharp = ConvRegressor(replace(model.config, contrast=1.5)).eval()
    sharp.load_state_dict(model.state_dict())
    plain, sharpened = predicted(model, row()), predicted(sharp, row())
    for half in (slice(0, 12), slice(12, 24)):
        spectra = plain[0, :, half]
        around = torch.cat(
            [spectra[:, :1].expand(-1, 4), spectra, spectra[:, -1:].expand(-1, 4)], 1
        )
        smooth = around.unfold(1, 9, 1).mean(-1)
        wanted = smooth + 1.5 * (spectra - smooth)
        torch.testing.assert_close(sharpened[0, :, half], wanted, **CLOSE)
    flat = torch.full((3, 24), 2.0)
    torch.testing.assert_close(sharp.sharpened(flat), flat)
    assert torch.equal(sharp(sharp.batch([row()])), model(model.batch([row()]))), "not in training"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"contrast": 0.0}, "contrast must be above 0, but is 0"),
        ({"frames_per_latent": 5}, "frames_per_latent must divide latent_dim, 24, but is 5"),
        ({"frames_per_latent": 0}, "frames_per_latent must divide latent_dim, 24, but is 0"),
    ],
)
def test_a_contrast_that_cannot_be_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(ConvRegressor.tiny_config(), **wrong)


def test_a_frame_depends_on_as_many_neighbours_as_it_says(model: ConvRegressor) -> None:
    reach, count = model.context_frames, 40
    changed = row(num_frames=count)
    changed.codes[0, 20] = (changed.codes[0, 20] + 1) % 32
    moved = (predicted(model, changed) - predicted(model, row(num_frames=count)))[0].abs().sum(-1)
    assert moved.nonzero()[:, 0].tolist() == list(range(20 - reach, 20 + reach + 1))


def test_a_fit_shifts_the_output_and_the_voice(model: ConvRegressor) -> None:
    nothing = VoiceFit(torch.zeros(32), torch.zeros(24))
    before = predicted(model, row())
    assert torch.equal(predicted(model, replace(row(), fit=nothing)), before)
    output = replace(nothing, output=torch.arange(24.0))
    torch.testing.assert_close(
        predicted(model, replace(row(), fit=output)), before + torch.arange(24.0), **CLOSE
    )
    pooled = replace(row(), fit=replace(nothing, pooled=torch.ones(32)))
    assert not torch.allclose(predicted(model, pooled), before, **CLOSE)
    # Beside a row without a fit, which stays as it is.
    torch.testing.assert_close(predicted(model, row(), pooled)[:1], before, **CLOSE)


def test_fitting_brings_the_halves_of_a_prompt_nearer(model: ConvRegressor) -> None:
    prompt = torch.randint(32, (5, 120), generator=torch.Generator().manual_seed(0))
    weights = {name: value.clone() for name, value in model.state_dict().items()}

    def error(fit: VoiceFit | None) -> float:
        half = AcousticRow(prompt=prompt[:, :60], codes=prompt[:, 60:], fit=fit)
        with torch.no_grad():
            return float(model.loss(model.batch([half])))

    fit = fit_voice(model, prompt, None, FitConfig(steps=8))
    assert fit is not None and error(fit) < error(None)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert fit_voice(model, prompt[:, :99], None, FitConfig(steps=8)) is None
    assert fit_voice(model, prompt, None, FitConfig(steps=0)) is None


def test_a_fitted_voice_is_the_same_from_its_file(tmp_path: Path) -> None:
    bundle = tiny_pitched_bundle(replace(TINY, fit=FitConfig(steps=2, learning_rate=0.5)))
    tts = ZeroShotTTS(bundle)
    voice = tts.create_voice(speech_like(4.0), name="someone")
    assert {"spoken", "fit.pooled", "fit.output"} <= voice.extras.keys()
    loaded = VoicePrompt.load(voice.save(tmp_path / "someone.safetensors"))
    said = [tts.generate("Hello.", each, seed=1).waveform for each in (voice, loaded)]
    assert torch.equal(*said)
    bare = replace(voice, extras={})
    assert not torch.equal(tts.generate("Hello.", bare, seed=1).waveform, said[0])


def test_a_voice_fitted_to_another_model_is_refused() -> None:
    bundle = tiny_pitched_bundle()
    voice = replace(tiny_voice(bundle), extras={"fit.pooled": torch.zeros(7)})
    with pytest.raises(ConfigError, match=r"fitted to another model .* create it again"):
        ZeroShotTTS(bundle).generate("Hello.", voice)
