"""Each part of the model by itself, so that the weak one is seen."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm.generate.sampling import sample_pitch
from uslm.models.base import PitchedModel
from uslm.systems.two_stage.blocks import CodeBlocks
from uslm.systems.two_stage.bundle import Bundle
from uslm.systems.two_stage.conversion import units_and_pitches
from uslm.systems.two_stage.voice_row import median_pitch
from uslm.voices.alignment import align_ctc, symbols_of
from uslm.voices.phoneme_error_rate import audible
from uslm.voices.prompt import VoicePrompt
from uslm.voices.verification import recognize_phonemes, recognizer
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.sequence.edit_distance import edit_distance


def stage2_alone(
    bundle: Bundle,
    waveform: Float[Tensor, "1 n"],
    text_ids: Sequence[int],
    voice: VoicePrompt,
    generator: torch.Generator,
    pitches: Int[Tensor, " t"] | None = None,
) -> Float[Tensor, "1 n"]:
    """Units and melody of a real recording, spoken by stage 2 in a voice: stage 1 without fault.
    `pitches` take the place of the melody."""
    tokenizer = bundle.tokenizer
    units, melody = units_and_pitches(bundle, waveform, voice)
    pitches = melody if pitches is None else pitches
    text_positions = _text_positions(bundle, units.to(tokenizer.device), text_ids)
    blocks = CodeBlocks(bundle.config.blocks, bundle.voice_row(voice), torch.tensor(text_ids))
    spoken, heights = units.tolist(), pitches.tolist()
    while (row := blocks.plan(spoken, True, text_positions, pitches=heights)) is not None:
        [filled] = bundle.fill([row], [generator])
        blocks.accept(filled)
    codes = blocks.codes[None].to(tokenizer.device)
    return tokenizer.decode(codes)[0].cpu().clamp(-1, 1)


@torch.no_grad()
def drawn_pitches(
    bundle: Bundle,
    waveform: Float[Tensor, "1 n"],
    text_ids: Sequence[int],
    voice: VoicePrompt,
    generator: torch.Generator,
) -> Int[Tensor, " t"]:
    """Pitches that stage 1 draws for the units of a real recording, as the codec's, in a voice:
    its reading without fault, its melody not."""
    model, codebook = bundle.semantic, bundle.pitch_codebook
    assert isinstance(model, PitchedModel) and model.num_pitches and codebook is not None
    units, _ = units_and_pitches(bundle, waveform, voice)
    units = units.to(model.device)
    nothing = torch.zeros(0, dtype=torch.long)
    cache = model.new_cache(1, len(text_ids) + len(units) + 2)
    model.prefill([torch.tensor(text_ids)], [nothing], cache, [nothing])
    relative: list[int] = []
    for unit in units[:, None]:
        drawn = sample_pitch(model.score_pitch(unit, cache), bundle.config.sampling, [generator])
        model.take_pitch(drawn, cache)
        model.step(unit, cache)
        relative += drawn.tolist()
    median, highest = median_pitch(voice.codes[codebook]), bundle.tokenizer.num_pitches - 1
    return torch.tensor([min(model.absolute_pitch(each, median), highest) for each in relative])


def _text_positions(bundle: Bundle, units: Int[Tensor, " t"], text_ids: Sequence[int]) -> list[int]:
    """Symbol that each unit is of, in place of stage 1's text position; empty where nobody can
    tell."""
    if bundle.vocab.reads != "phonemes" or not text_ids:
        return []
    starts = align_ctc(recognizer(bundle.tokenizer).phoneme_logits(units[None])[0], text_ids)
    if starts is None:
        return []
    return symbols_of(torch.arange(len(units)), torch.tensor(starts)).tolist()


def phoneme_errors(
    tokenizer: AudioTokenizer, waveform: Float[Tensor, "1 n"], phoneme_ids: Sequence[int]
) -> tuple[int, int]:
    """Number of sounds that the units' own recogniser gets wrong, and of how many."""
    wanted = audible(phoneme_ids)
    return edit_distance(audible(recognize_phonemes(tokenizer, waveform)), wanted), len(wanted)
