"""Units to sound by the stage that all tasks share, a window at a time; and text to units."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from uslm.generate.cascade import Stage, run_stages
from uslm.generate.length import LengthConfig
from uslm.generate.sampling import Sampling
from uslm.output.samples import checked_samples
from uslm.synthesis.protocols import Converted
from uslm.synthesis.timer import StageTimer
from uslm.systems.make_a_voice.model import (
    CODES,
    PITCH,
    PROMPT,
    TEXT,
    UNITS,
    Task,
    units_per_frame,
)
from uslm.systems.make_a_voice.settings import MakeAVoiceSettings
from uslm.systems.make_a_voice.vocoder import CodeVocoder
from uslm.voices.prompt import VoicePrompt
from uslm_tokenizer.sequence.flat_codes import flatten_codes, unflatten_codes


def read_units(
    stages: Sequence[Stage],
    text_ids: Sequence[int],
    length: LengthConfig,
    sampling: Sampling,
    draws: torch.Generator,
) -> Int[Tensor, " t"]:
    """Units of a text, by the first of the stages."""
    count = len(text_ids)
    limits = {UNITS: (max(1, length.min_frames(count)), length.max_frames(count))}
    known = run_stages(
        stages[:1], {TEXT: torch.tensor(text_ids)}, sampling=sampling, generator=draws,
        limits=limits,
    )  # fmt: skip
    return known[UNITS]


class UnitsToSpeech:
    """Speaks units in a voice: the last stage of every task, then the vocoder."""

    def __init__(
        self,
        stages: Mapping[Task, Sequence[Stage]],
        vocoder: CodeVocoder,
        settings: MakeAVoiceSettings,
    ) -> None:
        self._stages, self._vocoder, self._settings = stages, vocoder, settings
        self._rate = stages["convert"][-1].model.kind(UNITS).rate
        self._step = units_per_frame(self._rate, vocoder.sample_rate / vocoder.hop_length)

    def __call__(
        self,
        task: Task,
        units: Int[Tensor, " t"],
        voice: VoicePrompt,
        draws: torch.Generator,
        timer: StageTimer,
        pitch: Int[Tensor, " t"] | None = None,
    ) -> Converted:
        """Sound and codes of the units; `pitch` is a token for each of them."""
        with timer.stage("acoustic"):
            windows = [
                self._codes(task, units[cut], None if pitch is None else pitch[cut], voice, draws)
                for cut in self._windows(len(units))
            ]
            codes = torch.cat(windows, dim=1)
        with timer.stage("decode"):
            made = self._vocoder.decode(codes[None].to(self._vocoder.device))[0].float().cpu()
        timer.audio()
        return Converted(waveform=checked_samples(made, "the codes"), codes=codes)

    def _windows(self, count: int) -> list[slice]:
        """Windows of whole frames; the last one takes the rest with it, for a few units say
        nothing."""
        window = max(1, round(self._settings.window_seconds * self._rate / self._step)) * self._step
        starts = list(range(0, max(1, count - window // 2), window))
        return [slice(a, b) for a, b in zip(starts, [*starts[1:], count], strict=True)]

    def _codes(
        self,
        task: Task,
        units: Int[Tensor, " t"],
        pitch: Int[Tensor, " t"] | None,
        voice: VoicePrompt,
        draws: torch.Generator,
    ) -> Int[Tensor, "k n"]:
        config = self._vocoder.config
        given = {
            UNITS: self._whole(units),
            PROMPT: flatten_codes(voice.codes, config.codebook_size),
        }
        if pitch is not None:
            given[PITCH] = self._whole(pitch)
        known = run_stages(
            self._stages[task], given, sampling=self._settings.acoustic_sampling, generator=draws
        )
        return unflatten_codes(known[CODES], config.num_codebooks, config.codebook_size)

    def _whole(self, tokens: Int[Tensor, " t"]) -> Int[Tensor, " n"]:
        """Up to the next whole frame of codes, the last token held."""
        return torch.cat([tokens, tokens[-1:].expand(-len(tokens) % self._step)])
