"""Robustness: how many tokens change when the sound does and the words do not.

The measure is the unit edit distance (Gat et al. 2023): between the first codebook's runs of the
recording and those of its altered copy, for each run of the recording.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

import torch
from jaxtyping import Float
from torch import Tensor

from uslm.evaluation.suites.downstream import ProbeErrors
from uslm.evaluation.suites.encoded import encode
from uslm.evaluation.suites.speech_set import SAMPLE_RATE, LabelledSpeech
from uslm_tokenizer.audio.read import read_audio
from uslm_tokenizer.audio.write import write_audio
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.errors import EnvironmentProblem
from uslm_tokenizer.sequence.dedup import deduplicate
from uslm_tokenizer.sequence.edit_distance import edit_distance

Alteration = Callable[[Float[Tensor, "1 n"], torch.Generator], Float[Tensor, "1 m"]]
"""A recording of 16 kHz and what draws -> the altered copy."""

NOISE_DB = 20.0
"""Speech above the noise."""
QUIETER_DB = 6.0
HIGHER = 1.122
"""Pitch of the copy: two semitones up."""
PITCH_FLOOR, PITCH_CEILING = 75.0, 600.0
"""Hz, between which Praat looks for the pitch."""


def noise(waveform: Float[Tensor, "1 n"], generator: torch.Generator) -> Float[Tensor, "1 n"]:
    """White noise, 20 dB below the speech."""
    drawn = torch.randn(waveform.shape, generator=generator)
    return waveform + drawn * waveform.std() * 10 ** (-NOISE_DB / 20)


def gain(waveform: Float[Tensor, "1 n"], generator: torch.Generator) -> Float[Tensor, "1 n"]:
    """Half as loud."""
    return waveform * 10 ** (-QUIETER_DB / 20)


def pitch(waveform: Float[Tensor, "1 n"], generator: torch.Generator) -> Float[Tensor, "1 m"]:
    """Two semitones higher at the same speed, by Praat's overlap-add."""
    try:
        praat = import_module("parselmouth.praat")
        sound = import_module("parselmouth").Sound
    except ImportError as problem:
        raise EnvironmentProblem(
            "a change of pitch needs parselmouth: pip install 'uslm[eval]'"
        ) from problem
    given = sound(waveform[0].double().numpy(), sampling_frequency=SAMPLE_RATE)
    if given.duration < 3 / PITCH_FLOOR:
        return waveform
    manipulation = praat.call(given, "To Manipulation", 0.01, PITCH_FLOOR, PITCH_CEILING)
    tier = praat.call(manipulation, "Extract pitch tier")
    praat.call(tier, "Multiply frequencies", 0, given.duration, HIGHER)
    praat.call([manipulation, tier], "Replace pitch tier")
    made = praat.call(manipulation, "Get resynthesis (overlap-add)")
    return torch.from_numpy(made.values.copy()).float()


def round_trip(waveform: Float[Tensor, "1 n"], generator: torch.Generator) -> Float[Tensor, "1 m"]:
    """To MP3 and back."""
    file = io.BytesIO()
    write_audio(file, waveform, SAMPLE_RATE, format="mp3")
    file.seek(0)
    return read_audio(file).resampled(SAMPLE_RATE).waveform


ALTERATIONS: Mapping[str, Alteration] = {
    "noise": noise,
    "gain": gain,
    "pitch": pitch,
    "mp3": round_trip,
}


@torch.no_grad()
def token_changes(
    tokenizer: AudioTokenizer,
    speech: Sequence[LabelledSpeech],
    alteration: Alteration,
    *,
    seed: int,
) -> ProbeErrors:
    """Edits for each run of the first codebook's codes."""
    draw = torch.Generator().manual_seed(seed)
    errors, questions = [], []
    for each in speech:
        altered = LabelledSpeech(name=each.name, waveform=alteration(each.waveform, draw))
        before, after = (
            deduplicate(encode(tokenizer, version)[0])[0].tolist() for version in (each, altered)
        )
        errors.append(edit_distance(before, after))
        questions.append(len(before))
    return ProbeErrors(errors=tuple(errors), questions=tuple(questions))
