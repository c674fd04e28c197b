"""VoxCPM speaking: limits, draws anew, and what its users complain of, one test each."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from uslm import ZeroShotTTS
from uslm.generate.sampling import Sampling
from uslm.synthesis.protocols import SegmentRequest
from uslm.synthesis.timer import StageTimer
from uslm.systems.model_parts import Parts
from uslm.systems.two_stage.tiny import speech_like
from uslm.systems.voxcpm import segment_synthesizer
from uslm.systems.voxcpm.generation import Limits, PatchSteps, Spoken, speak
from uslm.systems.voxcpm.model import VoxCPM
from uslm.systems.voxcpm.pipeline import VoxCPMSynthesizer
from uslm.systems.voxcpm.segment_synthesizer import VoxCPMSegmentSynthesizer, decode, to_patches
from uslm.systems.voxcpm.settings import VoxCPMSettings
from uslm.systems.voxcpm.tiny import tiny_parts
from uslm.text.subwords import SubwordVocab
from uslm.voices.prompt import VoicePrompt
from uslm_tokenizer.codecs.audio_vae.model import AudioVAE
from uslm_tokenizer.errors import ConfigError, UserError

HOW = PatchSteps(steps=3)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def synthesizer() -> VoxCPMSynthesizer:
    return VoxCPMSynthesizer(Parts(tiny_parts()), settings=VoxCPMSettings(patch=HOW))


@pytest.fixture(scope="module")
def voice(synthesizer: VoxCPMSynthesizer) -> VoicePrompt:
    tts = ZeroShotTTS(synthesizer)
    return tts.create_voice(speech_like(2.0), "This is a test.", name="somebody")


def never_ends(model: VoxCPM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        model.to_stop,
        "forward",
        lambda semantic: torch.tensor([[1.0, 0.0]]).expand(len(semantic), 2),
    )


def request(synthesizer: VoxCPMSynthesizer, voice: VoicePrompt, seed: int = 0) -> SegmentRequest:
    text = synthesizer.frontend()("Hello.")
    return SegmentRequest(index=0, text=text, voice=voice, seed=seed, low_latency=False)


def engine(synthesizer: VoxCPMSynthesizer, **settings: Any) -> VoxCPMSegmentSynthesizer:
    found = replace(synthesizer.settings, **settings)
    return VoxCPMSegmentSynthesizer(
        synthesizer.model, synthesizer.codec, found, Sampling(temperature=1.0), StageTimer()
    )


# ---- limits


def test_a_model_that_never_ends_is_cut_at_six_patches_a_symbol(
    synthesizer: VoxCPMSynthesizer, voice: VoicePrompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    never_ends(synthesizer.model, monkeypatch)
    asked = request(synthesizer, voice)
    [audio] = engine(synthesizer).synthesize_batch([asked])
    assert audio.result is not None and audio.result.latents is not None
    symbols = len(asked.text.text_ids)
    assert audio.result.stop_reason == "length"
    assert audio.result.latents.shape[1] == (6 * symbols + 10) * 2


def test_it_does_not_end_before_its_shortest(
    synthesizer: VoxCPMSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = synthesizer.model
    monkeypatch.setattr(model.to_stop, "forward", lambda _: torch.tensor([[0.0, 1.0]]))
    for least in (1, 4, 7):
        limits = Limits(min_patches=least)
        found = speak(model, torch.arange(3), None, HOW, limits, torch.Generator().manual_seed(0))
        assert (len(found.patches), found.stop_reason) == (least, "end")


def test_what_was_cut_is_redrawn_from_other_seeds(
    synthesizer: VoxCPMSynthesizer, voice: VoicePrompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []
    ends: Iterator[str]

    def draw(*given: Any) -> Spoken:
        seeds.append(given[-1].initial_seed())
        return Spoken(drawn(5, 2, 6, seed=len(seeds)), next(ends))

    monkeypatch.setattr(segment_synthesizer, "speak", draw)
    for outcome, kept, attempts in (
        (("end",), 1, 1),
        (("length", "loop", "end"), 3, 3),
        (("length", "end"), 2, 2),
        (("loop", "length", "length"), 1, 3),  # none ended: what was asked for first
    ):
        seeds.clear()
        ends = iter(outcome)
        whole = engine(synthesizer, whole_segments=True)
        [audio] = whole.synthesize([request(synthesizer, voice, seed=9)])
        assert audio.result is not None and audio.result.attempts == attempts
        assert len(seeds) == len(set(seeds)) == attempts
        wanted = drawn(5, 2, 6, seed=kept).flatten(0, 1).T
        assert audio.result.latents is not None and torch.equal(audio.result.latents, wanted)
        assert audio.result.stop_reason == outcome[kept - 1]


# ---- complaints


def test_repeated_words_are_noticed_and_cut(
    synthesizer: VoxCPMSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that says the same five patches again and again, each time a little differently."""
    said, model = drawn(5, 2, 6), synthesizer.model
    never_ends(model, monkeypatch)

    def patches(*_: Any) -> Iterator[tuple[Tensor, bool]]:
        place = 0
        while True:
            start = drawn(20, 2, 6, seed=1)
            patch = start[place] if place < 20 else said[place % 5]
            yield patch[None] + 1e-3 * drawn(1, 2, 6, seed=100 + place), False
            place += 1

    monkeypatch.setattr("uslm.systems.voxcpm.generation.patches", patches)
    limits = Limits(max_patches=80, loop_length=5)
    found = speak(model, torch.arange(3), None, HOW, limits, torch.Generator())
    assert found.stop_reason == "loop" and len(found.patches) == 25  # said once
    other = speak(
        model, torch.arange(3), None, HOW, replace(limits, loop_length=7), torch.Generator()
    )
    assert other.stop_reason == "length"  # seven are not a whole number of rounds


def test_both_ends_are_silent(synthesizer: VoxCPMSynthesizer) -> None:
    """No click: sound comes from nothing and goes to nothing, in between it is as it was."""
    codec, settings = synthesizer.codec, VoxCPMSettings()
    patches = 3 * drawn(6, 2, 6)
    raw = decode(codec, patches, patches[:0], replace(settings, fade_seconds=0.0))
    made = decode(codec, patches, patches[:0], settings)
    edge = round(settings.fade_seconds * codec.sample_rate)
    assert float(raw[0, 0].abs()) > 1e-3
    assert float(made[0, 0]) == float(made[0, -1]) == 0
    steps = [w.diff().abs() for w in (raw[0], made[0])]
    assert float(made[0, :10].abs().max()) < 0.2 * float(raw[0, :10].abs().max())
    assert torch.equal(made[:, edge:-edge], raw[:, edge:-edge])
    assert float(steps[1][:edge].max()) <= float(steps[0].max())


@pytest.mark.parametrize("num_prompt", [0, 1, 8])
def test_nothing_of_the_prompt_is_heard(synthesizer: VoxCPMSynthesizer, num_prompt: int) -> None:
    """Speech is as long as what was made, and sounds as it does after the prompt, not as from
    silence."""
    codec, settings = synthesizer.codec, replace(VoxCPMSettings(), fade_seconds=0.0)
    prompt, patches = drawn(num_prompt, 2, 6, seed=1), drawn(5, 2, 6)
    made = decode(codec, patches, prompt, settings)
    samples = 5 * 2 * codec.hop_length
    assert made.shape[1] == samples
    with torch.no_grad():
        context = torch.cat([prompt[-3:], patches]).flatten(0, 1).T[None]
        wanted = codec.decode_latents(context)[0, :, -samples:]
        alone = codec.decode_latents(patches.flatten(0, 1).T[None])[0]
    assert torch.equal(made, wanted)
    assert torch.equal(made, alone) == (num_prompt == 0)


def test_a_prompt_ends_where_its_recording_ends(synthesizer: VoxCPMSynthesizer) -> None:
    """What is missing to a whole patch is silence before it: after it, speech would go on from
    silence that nobody recorded."""
    recording = speech_like(1.01)
    found = synthesizer.encode(recording)
    assert found.latents is not None
    hop = 2 * synthesizer.codec.hop_length
    missing = -recording.waveform.shape[1] % hop
    assert missing > 0
    silent = torch.nn.functional.pad(recording.waveform, (missing, 0))
    assert torch.equal(found.latents, synthesizer.codec.encode_latents(silent[None])[0])
    patches = to_patches(found.latents, 2)
    assert torch.equal(patches.flatten(0, 1).T, found.latents)


@pytest.fixture(scope="module")
def two_voices() -> tuple[VoxCPM, dict[str, Tensor]]:
    """A model that has learnt two speakers, whose latents lie apart, and texts of noise."""
    torch.manual_seed(0)
    model = VoxCPM(VoxCPM.tiny_config()).train()
    offsets = {"a": 2 * drawn(6, seed=1).sign(), "b": 2 * drawn(6, seed=2).sign()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    draw = torch.Generator().manual_seed(0)
    for step in range(100):
        rows = [0.3 * drawn(8, 2, 6, seed=8 * step + i) + offsets["ab"[i % 2]] for i in range(8)]
        texts = [torch.randint(50, (5,), generator=draw) for _ in rows]
        optimizer.zero_grad()
        model.losses(model.batch(texts, rows), draw).total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return model.eval(), offsets


def test_the_voice_is_the_prompts_from_run_to_run(
    two_voices: tuple[VoxCPM, dict[str, Tensor]],
) -> None:
    """With a prompt each run has its voice; without one, runs of one text have different ones."""
    model, offsets = two_voices

    def voices(prompt: Tensor | None, count: int) -> list[str]:
        found = []
        for seed in range(count):
            made = speak(
                model, torch.arange(5), prompt, PatchSteps(steps=6),
                Limits(min_patches=3, max_patches=3), torch.Generator().manual_seed(seed),
            ).patches.mean(dim=(0, 1))  # fmt: skip
            found.append(
                min(offsets, key=lambda name: float((made - offsets[name]).square().sum()))
            )
        return found

    for name, offset in offsets.items():
        assert voices(0.3 * drawn(4, 2, 6, seed=77) + offset, 4) == [name] * 4
    assert set(voices(None, 6)) == {"a", "b"}


# ---- what does not fit


def test_latents_of_another_codec_are_refused(
    synthesizer: VoxCPMSynthesizer, voice: VoicePrompt
) -> None:
    assert voice.latents is not None
    other = replace(voice, latents=voice.latents[:4])
    with pytest.raises(ConfigError, match=r"must hold 6 latents of each frame, .* but holds 4"):
        synthesizer.check_voice(other)
    torch.manual_seed(1)
    wide = AudioVAE(replace(AudioVAE.tiny_config(), latent_dim=8)).eval()
    with pytest.raises(ConfigError, match="lm was made for 6 latents, but the others have 8"):
        VoxCPMSynthesizer(Parts({"codec": wide, "lm": synthesizer.model}))


def test_a_model_that_reads_text_asks_for_the_transcript(synthesizer: VoxCPMSynthesizer) -> None:
    whole = SimpleNamespace(tokens=["text"], ids=[1])
    subwords = SimpleNamespace(
        get_vocab=dict, get_vocab_size=lambda: 60, encode=lambda *_, **__: whole
    )
    parts = Parts({"codec": synthesizer.codec, "lm": synthesizer.model})
    reads = VoxCPMSynthesizer(parts, SubwordVocab(subwords))
    with pytest.raises(UserError, match="give the transcript of the prompt"):
        reads.create_voice(reads.frontend(), speech_like(2.0))
    voice = reads.create_voice(reads.frontend(), speech_like(2.0), "This is a test.")
    assert voice.text_ids.tolist() == [1]


def test_a_model_that_can_say_one_thing_only_says_it_once(
    synthesizer: VoxCPMSynthesizer, voice: VoicePrompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network itself in a loop: each patch from equal noise, whatever was said before."""
    model, codec = synthesizer.model, synthesizer.codec
    stuck = deepcopy(model)
    for part in (stuck.semantic_to_decoder, stuck.residual_to_decoder, stuck.decoder.previous):
        torch.nn.init.zeros_(part.weight)
    never_ends(stuck, monkeypatch)
    synthesis = VoxCPMSegmentSynthesizer(
        stuck, codec, synthesizer.settings, Sampling(temperature=0.0), StageTimer()
    )
    [audio] = synthesis.synthesize_batch([request(synthesizer, voice)])
    assert audio.result is not None and audio.result.latents is not None
    assert (audio.result.stop_reason, audio.result.attempts) == ("loop", 3)
    assert audio.result.latents.shape[1] == 2 * Limits().loop_length
    assert audio.waveform.shape[1] == 2 * Limits().loop_length * codec.hop_length
