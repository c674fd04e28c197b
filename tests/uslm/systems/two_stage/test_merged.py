"""VALL-E R, put together of our parts: merged codes, a pointer, frames that know their symbol."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from uslm.generate.autoregressive import StopRule, speak_units
from uslm.generate.sampling import Sampling
from uslm.models.base import AcousticRow
from uslm.systems.two_stage.ar import SemanticLM
from uslm.systems.two_stage.bundle import Bundle
from uslm.systems.two_stage.config import BundleConfig, LengthConfig
from uslm.systems.two_stage.monotonic import MonotonicLM
from uslm.systems.two_stage.nar import AcousticLM
from uslm.systems.two_stage.tiny import speech_like, tiny_voice
from uslm.tts import ZeroShotTTS
from uslm_tokenizer.codecs.speech_tokenizer.model import SpeechTokenizer
from uslm_tokenizer.errors import UserError
from uslm_tokenizer.nn.seanet import SEANetConfig
from uslm_tokenizer.quantize.merge import hold, slow_codes
from uslm_tokenizer.weight_hash import weight_hash

MERGE = 2
TEXT = "The dog ran home at nine."
CODEC = replace(
    SpeechTokenizer.tiny_config(),
    network=SEANetConfig(dim=12, num_filters=2, strides=(8, 5, 4, 2), bidirectional=True),
)


def codec(merge: tuple[int, ...] = ()) -> SpeechTokenizer:
    torch.manual_seed(0)
    return SpeechTokenizer(replace(CODEC, merge=merge)).eval()


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    merged = codec((MERGE, *[1] * (CODEC.num_levels - 1)))
    size, codebooks = merged.codebook_size, merged.num_codebooks
    semantic = replace(
        MonotonicLM.tiny_config(), codebook_size=size, pitch_reach=0, max_advance=1,
        frames_per_unit=MERGE, timeless_ids=(47, 48),
    )  # fmt: skip
    acoustic = replace(
        AcousticLM.tiny_config(), codebook_size=size, num_codebooks=codebooks,
        codebook_groups=(1,) * (codebooks - 1), condition_on_alignment=True,
    )  # fmt: skip
    length = LengthConfig(max_frames_per_symbol=6.0, margin_frames=5)
    config = BundleConfig(name="tiny", length=length)
    return Bundle(config, merged, MonotonicLM(semantic).eval(), AcousticLM(acoustic).eval())


def test_the_first_level_is_tied_and_takes_half_the_steps(bundle: Bundle) -> None:
    steps = 0
    step = bundle.semantic.step

    def counted(*given: torch.Tensor) -> torch.Tensor:
        nonlocal steps
        steps += 1
        return step(*given)

    bundle.semantic.step = counted  # type: ignore[method-assign, assignment]
    try:
        speech = ZeroShotTTS(bundle).generate(TEXT, tiny_voice(bundle), seed=3)
    finally:
        del bundle.semantic.step
    units = speech.units
    assert torch.equal(hold(units[None, None, ::MERGE], MERGE, len(units))[0, 0], units)
    assert len(units) >= 40 and steps <= len(units) // MERGE


def test_what_streams_is_what_is_made_at_once(bundle: Bundle) -> None:
    tts, voice = ZeroShotTTS(bundle), tiny_voice(bundle)
    whole = tts.generate(TEXT, voice, seed=3).waveform
    chunks = [chunk.waveform for chunk in tts.stream(TEXT, voice, seed=3)]
    assert torch.equal(torch.cat(chunks, dim=1), whole)


def test_a_voice_is_read_at_the_units_rate(bundle: Bundle) -> None:
    """The codes of a recording are merged, and stage 1 reads every other frame of them."""
    tts = ZeroShotTTS(bundle)
    voice = tts.create_voice(speech_like(2.0), "This is a test.")
    slow = slow_codes(voice.codes[None, :1], MERGE)
    seen = []
    prefill = bundle.semantic.prefill

    def spied(texts: object, prompts: list[torch.Tensor], *others: object) -> torch.Tensor:
        seen.extend(prompts)
        return prefill(texts, prompts, *others)  # type: ignore[arg-type]

    bundle.semantic.prefill = spied  # type: ignore[method-assign, assignment]
    try:
        tts.generate(TEXT, voice, seed=1)
    finally:
        del bundle.semantic.prefill
    assert torch.equal(seen[0], slow[0, 0, : len(seen[0])]) and len(seen[0]) > 20


def test_frames_are_told_their_symbol(bundle: Bundle) -> None:
    draw = torch.Generator().manual_seed(0)
    size, count = bundle.tokenizer.codebook_size, bundle.tokenizer.num_codebooks
    codes = torch.randint(size, (count, 8), generator=draw)
    text = torch.tensor([3, 9, 12])
    row = AcousticRow(
        prompt=codes, codes=codes, text_ids=text, text_positions=torch.arange(8) * 3 // 8
    )
    other = replace(row, text_positions=torch.zeros(8, dtype=torch.long))
    known = torch.ones(1, dtype=torch.long)
    found = [bundle.acoustic(bundle.acoustic.batch([each]), known) for each in (row, other)]
    assert not torch.allclose(*found)


def test_speech_follows_the_track_of_another_recording(bundle: Bundle) -> None:
    text, track = torch.tensor([9, 12, 47, 20, 3]), [0, 0, 1, 1, 1, 3, 4, 4]
    nothing = torch.zeros(0, dtype=torch.long)
    *_, [row] = speak_units(
        bundle.semantic, [text], [nothing], [StopRule(min_frames=0, max_frames=99)],
        sampling=Sampling(), generators=[torch.Generator().manual_seed(0)], tracks=[track],
    )  # fmt: skip
    assert row.text_positions == track and row.stop_reason == "end"


def test_a_track_counts_from_the_text_after_the_prompts(bundle: Bundle) -> None:
    semantic = bundle.semantic
    text = torch.tensor([3, 4, semantic.separator_id, 9, 12])
    *_, [row] = speak_units(
        semantic, [text], [torch.arange(6)], [StopRule(min_frames=0, max_frames=99)],
        sampling=Sampling(), generators=[torch.Generator().manual_seed(0)], tracks=[[0, 1, 1]],
    )  # fmt: skip
    assert row.text_positions == [3, 4, 4]


def test_a_model_without_a_place_in_its_text_follows_none() -> None:
    model, nothing = SemanticLM(SemanticLM.tiny_config()).eval(), torch.zeros(0, dtype=torch.long)
    with pytest.raises(UserError, match="semantic_lm says symbols when it will"):
        next(
            speak_units(
                model, [torch.arange(3)], [nothing], [StopRule(min_frames=0, max_frames=9)],
                sampling=Sampling(), generators=[torch.Generator()], tracks=[[0, 1]],
            )
        )  # fmt: skip


def test_merged_codes_are_not_taken_for_others() -> None:
    plain, merged = codec(), codec((MERGE, *[1] * (CODEC.num_levels - 1)))
    assert weight_hash(tokenizer=plain) != weight_hash(tokenizer=merged)
    sound = 0.1 * torch.randn(1, 1, 4000, generator=torch.Generator().manual_seed(0))
    codes = merged.encode(sound)
    assert slow_codes(codes[:, :1], MERGE).shape[2] == -(-codes.shape[2] // MERGE)
