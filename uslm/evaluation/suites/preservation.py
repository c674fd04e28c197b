"""Information preservation (SLMTokBench; Codec-SUPERB): speech against its decoded tokens."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm.evaluation.metrics.bootstrap import Estimate, estimate
from uslm.evaluation.metrics.codec_measures import measure_pair
from uslm.evaluation.metrics.scores import Judges, Sample, judge, summarize
from uslm.evaluation.suites.codec import resynthesize
from uslm.evaluation.suites.speech_set import SAMPLE_RATE, LabelledSpeech
from uslm_tokenizer.audio.read import resample
from uslm_tokenizer.base import AudioTokenizer

Decode = Callable[[Int[Tensor, "1 k t"]], Float[Tensor, "1 1 n"]]
"""Codes on the CPU -> the waveform."""


@torch.no_grad()
def preserve(
    tokenizer: AudioTokenizer,
    speech: Sequence[LabelledSpeech],
    judges: Judges | None = None,
    *,
    generator: torch.Generator,
    decode: Decode | None = None,
) -> dict[str, Estimate]:
    """Reconstruction, and with judges what they make of it: `wer` against the text of the
    utterance, `sim_o` between the recording's voice and the decoded one's.

    Both waveforms are compared at the tokenizer's rate; judges get 16 kHz. `decode` stands for the
    tokenizer's own decoder, as for units, which have none.
    """
    measured: list[dict[str, float]] = []
    samples: list[Sample] = []
    for each in speech:
        given = resample(each.waveform, SAMPLE_RATE, tokenizer.sample_rate)
        if decode is None:
            made = resynthesize(tokenizer, given)
        else:
            codes = tokenizer.encode(given[None].to(tokenizer.device)).cpu()
            made = decode(codes)[0, :, : given.shape[1]].clamp(-1, 1)
        measured.append(measure_pair(given[0], made[0], tokenizer.sample_rate))
        if judges is not None and each.text:
            at_judges = resample(made, tokenizer.sample_rate, SAMPLE_RATE)[0]
            model = judges.speaker_model
            voices = {} if model is None else {"sim_o": model(each.waveform[0])}
            samples.append(
                Sample(name=each.name, waveform=at_judges, text=each.text, voices=voices)
            )
    row = {
        name: estimate([values[name] for values in measured if name in values], generator=generator)
        for name in dict.fromkeys(name for values in measured for name in values)
    }
    if judges is not None and samples:
        row |= summarize(judge(samples, judges), generator)
    return row
