"""VoxCPM handing on patches while it makes them: what is heard when, and what can be redrawn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from uslm import ZeroShotTTS
from uslm.generate.sampling import Sampling
from uslm.output.joiner import JoinConfig
from uslm.serving.engine import Engine
from uslm.synthesis.protocols import SegmentAudio, SegmentRequest
from uslm.synthesis.timer import StageTimer
from uslm.systems.model_parts import Parts
from uslm.systems.two_stage.tiny import speech_like
from uslm.systems.voxcpm import generation
from uslm.systems.voxcpm.generation import PatchSteps
from uslm.systems.voxcpm.pipeline import VoxCPMSynthesizer
from uslm.systems.voxcpm.segment_synthesizer import VoxCPMSegmentSynthesizer, decode, to_patches
from uslm.systems.voxcpm.settings import VoxCPMSettings
from uslm.systems.voxcpm.streaming import Fader, PatchDecoder
from uslm.systems.voxcpm.tiny import tiny_parts
from uslm.voices.prompt import VoicePrompt
from uslm_tokenizer.codecs.vae.model import VAECodec

HOW = PatchSteps(steps=2)
SETTINGS = VoxCPMSettings(
    patch=HOW,
    # What the network says is noise: nothing of it is to be taken for silence.
    join=JoinConfig(trim_silence=False, fade_seconds=0.0),
)
LENGTH = 30
"""Patches of a text, where a test says so."""


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def synthesizer() -> VoxCPMSynthesizer:
    return VoxCPMSynthesizer(Parts(tiny_parts()), settings=SETTINGS)


@pytest.fixture(scope="module")
def voice(synthesizer: VoxCPMSynthesizer) -> VoicePrompt:
    tts = ZeroShotTTS(synthesizer)
    return tts.create_voice(speech_like(2.0), "This is a test.", name="somebody")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Patches that were made, of texts that end after `LENGTH`."""
    made: list[Tensor] = []
    one = generation.next_patch

    def next_patch(*given: Any) -> Tensor:
        made.append(one(*given))
        return made[-1]

    monkeypatch.setattr(generation, "next_patch", next_patch)
    monkeypatch.setattr(generation, "is_last", lambda *_: len(made) % LENGTH == 0)
    return made


def audios(
    synthesizer: VoxCPMSynthesizer, voice: VoicePrompt, **settings: Any
) -> tuple[SegmentRequest, Iterator[SegmentAudio]]:
    text = synthesizer.frontend()("Hello there, my friend.")
    request = SegmentRequest(index=0, text=text, voice=voice, seed=9, low_latency=True)
    engine = VoxCPMSegmentSynthesizer(
        synthesizer.model, synthesizer.codec, replace(synthesizer.settings, **settings),
        Sampling(temperature=1.0), StageTimer(),
    )  # fmt: skip
    return request, engine.synthesize([request])


# ---- when


def test_the_first_sound_comes_after_the_first_patch(
    synthesizer: VoxCPMSynthesizer, voice: VoicePrompt, counted: list[Tensor]
) -> None:
    """Through the public API, and never later than half of what is made, up to 12 patches."""
    patch = 2 * synthesizer.codec.hop_length
    heard, at = 0, []
    for chunk in ZeroShotTTS(synthesizer).stream("Hello there, my friend.", voice, seed=3):
        heard += chunk.waveform.shape[1]
        if chunk.waveform.numel():
            at.append((len(counted), heard))
    assert at[0][0] == 1 and at[-1] == (LENGTH, LENGTH * patch)
    for made, samples in at[:-1]:
        assert samples > (made - min(made // 2, 12) - 1) * patch


def test_a_server_hands_on_what_is_made_so_far(
    synthesizer: VoxCPMSynthesizer, voice: VoicePrompt
) -> None:
    """The engine of the server gives what `generate` gives, in many parts."""
    with Engine(synthesizer) as engine:
        parts = [chunk.waveform for chunk in engine.submit("Hello.", voice, seed=3)]
    assert sum(part.numel() > 0 for part in parts) > 2
    whole = ZeroShotTTS(synthesizer).generate("Hello.", voice, seed=3)
    assert torch.equal(torch.cat(parts, dim=1), whole.waveform)


# ---- what


@pytest.mark.parametrize("num_prompt", [0, 2, 8])
@pytest.mark.parametrize("kind", ["tiny AudioVAE", "SEANet", "SEANet, reflected", "not causal"])
def test_the_parts_sound_as_the_whole(
    synthesizer: VoxCPMSynthesizer, kind: str, num_prompt: int
) -> None:
    """Whatever the parts are, and whichever codec it is; both ends fade, nothing of the prompt."""
    codec = synthesizer.codec
    if kind != "tiny AudioVAE":
        config = VAECodec.tiny_config()
        padding = "reflect" if kind == "SEANet, reflected" else "zeros"
        network = replace(config.network, causal=kind != "not causal", padding=padding)
        torch.manual_seed(0)
        codec = VAECodec(replace(config, network=network)).eval()
    prompt, patches = drawn(num_prompt, 2, 6, seed=1), 2 * drawn(9, 2, 6)
    whole = decode(codec, patches, prompt, SETTINGS)
    for cuts in ((1,) * 9, (4, 0, 5), (9, 0)):
        decoder = PatchDecoder(codec, prompt, SETTINGS)
        parts = patches.split(list(cuts))
        made = [decoder.push(part, i == len(cuts) - 1) for i, part in enumerate(parts)]
        assert torch.cat(made, dim=1).shape == whole.shape
        assert torch.allclose(torch.cat(made, dim=1), whole, atol=1e-5)
        if codec.causal and kind != "SEANet, reflected" and len(cuts) == 9:
            edge = round(SETTINGS.fade_seconds * codec.sample_rate)
            assert [part.shape[1] for part in made[:2]] == [
                2 * codec.hop_length - edge, 2 * codec.hop_length,
            ]  # fmt: skip


def test_short_sounds_fade_as_well() -> None:
    for count, cuts in ((4, (3, 4)), (4, (1, 1, 6)), (0, (2, 2)), (4, (8, 0))):
        fader = Fader(count)
        parts = torch.ones(1, sum(cuts)).split(list(cuts), dim=1)
        made = torch.cat([fader.push(p, i == len(cuts) - 1) for i, p in enumerate(parts)], dim=1)
        n = sum(cuts)
        rising = [min(1.0, i / count) if count else 1.0 for i in range(n)]
        wanted = torch.tensor(rising) * torch.tensor(rising).flip(0)
        assert torch.allclose(made[0], wanted)


# ---- what can be redrawn


@pytest.fixture
def loops(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int]]:
    """A model that says 12 patches again and again in its first draws, and ends in its last.

    Of each draw: the seed of its noise, patches that it goes on from, patches that it has made.
    """
    draws: list[tuple[int, int, int]] = []

    def begin(model: Any, text: Any, prompt: Tensor) -> int:
        return len(prompt)

    def patches(
        model: Any, known: int, how: Any, generator: torch.Generator
    ) -> Iterator[tuple[Tensor, bool]]:
        number = len(draws)
        draws.append((generator.initial_seed(), known, 0))
        said = drawn(12, 2, 6, seed=number)
        while True:
            place = draws[number][2]
            draws[number] = (*draws[number][:2], place + 1)
            yield said[place % 12][None], number == 2 and place == 5

    monkeypatch.setattr(generation, "begin", begin)
    monkeypatch.setattr(generation, "patches", patches)
    return draws


def test_a_repetition_is_never_heard_and_is_redrawn_from_there_on(
    synthesizer: VoxCPMSynthesizer, voice: VoicePrompt, loops: list[tuple[int, int, int]]
) -> None:
    """What was heard stays, and the next draw goes on from it with noise of its own."""
    _, stream = audios(synthesizer, voice)
    assert voice.latents is not None
    prompt = to_patches(voice.latents, 2)
    *heard, last = stream
    assert all(audio.result is None for audio in heard)
    assert last.result is not None and last.result.latents is not None
    assert (last.result.stop_reason, last.result.attempts) == ("end", 3)
    said = to_patches(last.result.latents, 2)
    # Twelve of the first draw, twelve of the second, six of the third: each said once.
    wanted = torch.cat([drawn(12, 2, 6, seed=number)[:count] for number, count in
                        ((0, 12), (1, 12), (2, 6))])  # fmt: skip
    assert torch.equal(said, wanted)
    assert [known for _, known, _ in loops] == [len(prompt), len(prompt) + 12, len(prompt) + 24]
    assert len({seed for seed, *_ in loops}) == 3
    sound = torch.cat([audio.waveform for audio in (*heard, last)], dim=1)
    assert torch.allclose(
        sound, decode(synthesizer.codec, wanted, prompt, SETTINGS).clamp(-1, 1), atol=1e-5
    )


def test_what_repeats_itself_in_every_draw_ends_where_it_began_to(
    synthesizer: VoxCPMSynthesizer, voice: VoicePrompt, loops: list[tuple[int, int, int]]
) -> None:
    _, stream = audios(synthesizer, voice, redraws=1)
    *_, last = stream
    assert last.result is not None and last.result.latents is not None
    assert (last.result.stop_reason, last.result.attempts) == ("loop", 2)
    assert last.result.latents.shape[1] == 2 * 24  # twelve of either draw


def test_what_does_not_end_was_heard_and_stays(
    synthesizer: VoxCPMSynthesizer, voice: VoicePrompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is cut and said so; whole segments are redrawn."""
    monkeypatch.setattr(generation, "is_last", lambda *_: False)
    asked, stream = audios(synthesizer, voice, length=replace(SETTINGS.length, margin_frames=2))
    most = 6 * len(asked.text.text_ids) + 2
    *_, last = stream
    assert last.result is not None and last.result.latents is not None
    assert (last.result.stop_reason, last.result.attempts) == ("length", 1)
    assert last.result.latents.shape[1] == 2 * most
    _, whole = audios(
        synthesizer, voice, whole_segments=True, length=replace(SETTINGS.length, margin_frames=2)
    )
    [audio] = whole
    assert audio.result is not None and audio.result.attempts == 3
