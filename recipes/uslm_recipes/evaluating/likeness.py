"""Likeness of a model's speech to a voice: speaker cosines to recordings that it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from uslm.evaluation.metrics.similarity import SpeakerModel, cosine
from uslm.tts import ZeroShotTTS
from uslm_recipes.data.corpus import Corpus
from uslm_tokenizer.audio.read import Audio
from uslm_tokenizer.errors import UserError

PROMPT_SECONDS = 4.0
"""Recordings are joined until a prompt is so long."""


@dataclass(frozen=True)
class HeldOut:
    """Recordings of one voice that no training saw."""

    prompt: Audio
    others: tuple[Float[Tensor, " n"], ...]
    """Recordings that the prompt has nothing of."""
    texts: tuple[str, ...]
    """What is said in them."""


def held_out_of(corpus: Corpus) -> HeldOut:
    """The test part of a corpus of one voice, its first recordings joined to a prompt."""
    indices = corpus.select(split="test").tolist()
    taken: list[int] = []
    while indices and float(corpus.seconds[taken].sum()) < PROMPT_SECONDS:
        taken.append(indices.pop(0))
    if not indices:
        raise UserError("there must be more recordings of the voice to hold out: a prompt and one")
    joined = torch.cat([corpus.waveform(index) for index in taken])
    texts = (corpus.utterances[index].text for index in indices)
    return HeldOut(
        prompt=Audio(joined[None], corpus.sample_rate),
        others=tuple(corpus.waveform(index) for index in indices),
        texts=tuple(text for text in texts if text),
    )


def likeness(
    tts: ZeroShotTTS, held_out: HeldOut, sentences: Sequence[str], speaker_model: SpeakerModel
) -> float:
    """Mean cosine of what the model says, with the prompt, to the held-out recordings."""
    voice = tts.create_voice(held_out.prompt)
    real = [speaker_model(waveform) for waveform in held_out.others]
    found = []
    for seed, sentence in enumerate(sentences):
        speech = tts.generate(sentence, voice, seed=seed, any_language=True)
        made = Audio(speech.waveform, speech.sample_rate).resampled(held_out.prompt.sample_rate)
        vector = speaker_model(made.waveform[0])
        found += [cosine(vector, each) for each in real]
    return sum(found) / len(found)


def real_likeness(held_out: HeldOut, speaker_model: SpeakerModel) -> float:
    """The same of the prompt itself: what the voice reaches with itself."""
    vector = speaker_model(held_out.prompt.waveform[0])
    found = [cosine(vector, speaker_model(waveform)) for waveform in held_out.others]
    return sum(found) / len(found)
