"""Speech that goes on: as long as asked, the same for a seed, in order; other units are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from uslm import SpeechContinuer
from uslm.systems.lst.model import PatchLM
from uslm.systems.two_stage.bundle import Bundle, save_bundle
from uslm.systems.two_stage.continuation import pitches_like
from uslm.systems.two_stage.tiny import speech_like, tiny_bundle, tiny_pitched_bundle
from uslm_tokenizer.audio.read import Audio
from uslm_tokenizer.errors import AudioError, ConfigError, UserError


def language_model(bundle: Bundle, *, hash: str | None = None) -> PatchLM:
    torch.manual_seed(0)
    config = replace(
        PatchLM.tiny_config(),
        codebook_size=bundle.tokenizer.codebook_size,
        tokenizer=bundle.tokenizer_hash if hash is None else hash,
    )
    return PatchLM(config).eval()


@pytest.fixture(params=["codes", "pitches"])
def continuer(request: pytest.FixtureRequest) -> SpeechContinuer:
    bundle = tiny_bundle() if request.param == "codes" else tiny_pitched_bundle()
    return SpeechContinuer(language_model(bundle), bundle)


def test_it_goes_on_for_as_long_as_asked(continuer: SpeechContinuer) -> None:
    audio = speech_like(2.0)
    speech = continuer.continue_speech(audio, seconds=0.8, seed=3)
    hop = continuer.bundle.tokenizer.hop_length
    assert 0 < speech.units.numel() <= 40
    assert speech.waveform.shape[1] == speech.units.numel() * hop
    again = continuer.continue_speech(audio, seconds=0.8, seed=3)
    assert torch.equal(speech.waveform, again.waveform) and speech.model == "tiny"
    others = [continuer.continue_speech(audio, seconds=0.8, seed=s).units for s in (4, 5)]
    assert any(not torch.equal(each, speech.units) for each in others)


def test_what_is_heard_before_decides_what_follows(continuer: SpeechContinuer) -> None:
    """The units are those that the language model says after the recording's."""
    received: list[torch.Tensor] = []
    after = continuer._units_after

    def spy(units: torch.Tensor, **options: object) -> torch.Tensor:
        received.append(units)
        return after(units, **options)  # type: ignore[arg-type]

    continuer._units_after = spy  # type: ignore[method-assign, assignment]
    audio = speech_like(1.5)
    speech = continuer.continue_speech(audio, seconds=0.4, seed=1)
    tokenizer = continuer.bundle.tokenizer
    wanted = tokenizer.encode(audio.resampled(tokenizer.sample_rate).waveform[None])[0, 0]
    assert torch.equal(received[0], wanted)
    assert speech.codes.shape[0] == tokenizer.num_codebooks


def test_pitches_of_new_units_are_those_last_heard() -> None:
    units, pitches = torch.tensor([4, 7, 4, 9]), torch.tensor([30, 0, 32, 25])
    new = torch.tensor([7, 4, 5, 9, 7])
    assert pitches_like(units, pitches, new).tolist() == [0, 32, 32, 25, 0]


def test_it_loads_from_folders(tmp_path: Path) -> None:
    bundle = tiny_bundle()
    save_bundle(bundle, tmp_path / "model")
    language_model(bundle).save_pretrained(tmp_path / "lm")
    loaded = SpeechContinuer.from_pretrained(tmp_path / "lm", tmp_path / "model")
    direct = SpeechContinuer(language_model(bundle), bundle)
    one, two = (
        each.continue_speech(speech_like(1.5), seconds=0.4, seed=1) for each in (loaded, direct)
    )
    torch.testing.assert_close(one.waveform, two.waveform)
    with pytest.raises(ConfigError, match="must be a speech language model, but is a semantic_lm"):
        SpeechContinuer.from_pretrained(tmp_path / "model" / "semantic", tmp_path / "model")


def test_mistakes_are_told() -> None:
    bundle = tiny_bundle()
    with pytest.raises(UserError, match=f"of the tokenizer abc, .* {bundle.tokenizer_hash} or "):
        SpeechContinuer(language_model(bundle, hash="abc"), bundle)
    other = PatchLM(replace(PatchLM.tiny_config(), codebook_size=48))
    with pytest.raises(UserError, match="knows 48 units, but the tokenizer of 'tiny' has 32"):
        SpeechContinuer(other, bundle)
    continuer = SpeechContinuer(language_model(bundle), bundle)
    with pytest.raises(UserError, match="seconds must be above 0, but is 0"):
        continuer.continue_speech(speech_like(1.0), seconds=0.0)
    with pytest.raises(AudioError):
        continuer.continue_speech(Audio(torch.zeros(1, 0), 16_000))
    continuer._units_after = lambda units, **_: units[:0]  # type: ignore[method-assign, assignment]
    with pytest.raises(UserError, match="ended the speech at once; another seed may help"):
        continuer.continue_speech(speech_like(1.5), seconds=0.4, seed=1)
