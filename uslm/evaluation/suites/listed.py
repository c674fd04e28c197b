"""An evaluation over a list of seed-tts-eval's form: spoken by a model, or by anybody else."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from uslm.evaluation.metrics.scores import Judges
from uslm.evaluation.report.report import Section
from uslm.evaluation.suites.codec import resynthesize
from uslm.evaluation.suites.sections import (
    Scorer,
    at_judges,
    prompt_waveforms,
    speech_section,
    speed_section,
)
from uslm.evaluation.suites.speaking import Spoken
from uslm_tokenizer.audio.read import read_audio
from uslm_tokenizer.base import AudioTokenizer


def listed_sections(
    spoken: Sequence[Spoken],
    folder: Path,
    judges: Judges,
    *,
    tokenizer: AudioTokenizer | None,
    generator: torch.Generator,
) -> tuple[dict[str, Section], list[dict[str, Any]]]:
    """The tables about what was spoken, and every utterance by itself.

    SIM-o is the likeness to the prompt itself, SIM-r (Wang et al. 2023) that to the prompt after
    `tokenizer`, which is the most that a model over its codes can know of the voice.
    """
    references: dict[str, Any] = {}
    words = "WER, mean of utterances, is what seed-tts-eval reports."
    if judges.speaker_model is not None:
        references["sim_o"] = prompt_waveforms(spoken, folder)
        words += " SIM-o: speaker cosine to the prompt."
        if tokenizer is not None:
            references["sim_r"] = _resynthesized(spoken, folder, tokenizer)
            words += " SIM-r: to the prompt encoded and decoded."
    section, utterances = speech_section(
        spoken,
        folder,
        Scorer(judges, generator),
        references,
        title="Speech from text",
        likeness=words,
        by_voice=False,
    )
    sections = {"speech": section}
    if any(each.timings for each in spoken):
        sections["speed"] = speed_section(spoken, generator)
    return sections, utterances


def _resynthesized(
    spoken: Sequence[Spoken], folder: Path, tokenizer: AudioTokenizer
) -> dict[str, torch.Tensor]:
    rate, found = tokenizer.sample_rate, {}
    for prompt in dict.fromkeys(each.prompt for each in spoken):
        waveform = read_audio(folder / prompt).resampled(rate).waveform
        found[prompt] = at_judges(resynthesize(tokenizer, waveform), rate)
    return found
