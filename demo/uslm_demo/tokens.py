"""Contents of the token view: sound, mel, phonemes and codes as tracks on one time axis."""

# ruff: noqa: RUF001 (phonemes look like other characters)

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from uslm.voices.alignment import align_ctc
from uslm.voices.phoneme_error_rate import INAUDIBLE, PHONEMES
from uslm.voices.verification import Recognizer, find_recognizer
from uslm_demo.speaking import Made
from uslm_demo.widgets.sounds import Sounds
from uslm_tokenizer.nn.spectral import LogMel

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

    from uslm_tokenizer.base import AudioTokenizer

MAX_SECONDS = 30.0
"""More speech than this is not shown: nothing could be told apart."""
NUM_MELS = 80
MEL_RATE = 100
"""Columns of the mel picture per second."""
MEL_DECIBELS = 80.0
"""From the darkest to the brightest."""

Span = tuple[float, float, str]
"""Begin and end in seconds, and what it is."""


def speech_view(made: Made, tokenizer: AudioTokenizer | None, sounds: Sounds) -> dict[str, Any]:
    """The prompt left of 0 s, the speech right of it.

    Where one tokenizer makes the samples, they are decoded from the very codes below them, the
    prompt's too; else they are the finished speech, whose codes may lie some tenths of a second
    off, for silence is trimmed from it.
    """
    if tokenizer is None:
        return _without_tokenizer(made, sounds)
    rate, frame_rate = tokenizer.sample_rate, tokenizer.frame_rate
    spoken = made.speech.codes[:, : round(MAX_SECONDS * frame_rate)]
    codes = torch.cat([made.voice.codes, spoken], dim=1)
    with torch.inference_mode():
        waveform = tokenizer.decode(codes[None].to(tokenizer.device))[0].cpu().clamp(-1, 1)
    start = -made.voice.codes.shape[1] / frame_rate
    tracks = sound_tracks(waveform, rate)
    phoneme_recognizer = find_recognizer(tokenizer)
    if phoneme_recognizer is not None:
        spans = _phonemes(made, codes, tokenizer, phoneme_recognizer, start)
        tracks.append({"kind": "spans", "label": "phonemes", "sound": 0, "spans": spans})
    tracks += code_tracks(codes, tokenizer)
    return view(waveform, rate, start, tracks, sounds)


def view(
    waveform: Float[Tensor, "1 n"],
    sample_rate: int,
    start: float,
    tracks: list[dict[str, Any]],
    sounds: Sounds,
    *more: Float[Tensor, "1 m"],
) -> dict[str, Any]:
    """The value of a token view; tracks name their sound by its place among the waveforms."""
    players = [sounds.put(each, sample_rate) for each in (waveform, *more)]
    return {
        "start": start,
        "end": start + waveform.shape[1] / sample_rate,
        "sounds": [{"id": sound.id, "rate": sound.sample_rate} for sound in players],
        "tracks": tracks,
    }


def sound_tracks(
    waveform: Float[Tensor, "1 n"], sample_rate: int, sound: int = 0, name: str = ""
) -> list[dict[str, Any]]:
    """Waveform and mel spectrogram."""
    codebooks = _mel(waveform, sample_rate)
    mel = {
        "kind": "mel",
        "label": f"{name} mel".strip(),
        "sound": sound,
        "rows": NUM_MELS,
        "data": base64.b64encode(codebooks.numpy().tobytes()).decode(),
    }
    return [{"kind": "wave", "label": name or "waveform", "sound": sound}, mel]


def code_tracks(
    codes: Int[Tensor, "k t"], tokenizer: AudioTokenizer, sound: int = 0
) -> list[dict[str, Any]]:
    """A track for each codebook, the first is called the units where a model speaks it."""
    first = "units" if find_recognizer(tokenizer) is not None else "codebook 0"
    return [
        {
            "kind": "codes",
            "label": f"codebook {codebook}" if codebook else first,
            "sound": sound,
            "rate": tokenizer.frame_rate,
            "size": tokenizer.codebook_size,
            "codes": row,
        }
        for codebook, row in enumerate(codes.tolist())
    ]


def phoneme_spans(
    phoneme_recognizer: Recognizer, units: Int[Tensor, " t"], ids: Sequence[int], frame_rate: float
) -> list[Span]:
    """Place of each sound, as the tokenizer's recogniser has it; empty where they do not fit."""
    if not len(units) or not len(ids):
        return []
    starts = align_ctc(phoneme_recognizer.phoneme_logits(units[None])[0], ids)
    if starts is None:
        return []
    spans: list[Span] = []
    for start, end, phoneme in zip(starts, [*starts[1:], len(units)], ids, strict=True):
        if phoneme in INAUDIBLE:  # stress and length belong to a neighbour, a space to nobody
            if spans and PHONEMES.decode([phoneme]) == "ː":
                begin, _, name = spans[-1]
                spans[-1] = (begin, end / frame_rate, name + "ː")
            continue
        spans.append((start / frame_rate, end / frame_rate, PHONEMES.decode([phoneme])))
    return spans


def _phonemes(
    made: Made,
    codes: Int[Tensor, "k t"],
    tokenizer: AudioTokenizer,
    phoneme_recognizer: Recognizer,
    start: float,
) -> list[Span]:
    """The spans of the prompt and of each segment; where no text is known, what is heard."""
    units, spans, place = codes[0].to(tokenizer.device), [], 0
    prompt_frames = made.voice.codes.shape[1]
    said = [(made.voice.num_spoken_frames, made.voice.phonemes)]
    said += [(prompt_frames - made.voice.num_spoken_frames, "")]
    said += [(segment.num_frames, segment.phonemes) for segment in made.segments]
    if not made.segments:
        said.append((len(units) - prompt_frames, ""))
    for num_frames, phonemes in said:
        stretch = units[place : place + num_frames]
        if len(stretch) == num_frames:  # the end may have been cut off
            ids = PHONEMES.encode(phonemes) or phoneme_recognizer.recognize(stretch)
            offset = start + place / tokenizer.frame_rate
            found = phoneme_spans(phoneme_recognizer, stretch, ids, tokenizer.frame_rate)
            spans += [(offset + begin, offset + end, name) for begin, end, name in found]
        place += num_frames
    return spans


def _without_tokenizer(made: Made, sounds: Sounds) -> dict[str, Any]:
    speech = made.speech
    waveform = speech.waveform[:, : round(MAX_SECONDS * speech.sample_rate)]
    tracks = sound_tracks(waveform, speech.sample_rate)
    shown = waveform.shape[1] / speech.waveform.shape[1]
    codes = speech.codes[:, : round(shown * speech.codes.shape[1])]
    for codebook, row in enumerate(codes.tolist()):
        tracks.append(
            {
                "kind": "codes",
                "label": f"codebook {codebook}",
                "sound": 0,
                "rate": len(row) * speech.sample_rate / waveform.shape[1],
                "size": int(codes.max()) + 1,
                "codes": row,
            }
        )
    return view(waveform, speech.sample_rate, 0.0, tracks, sounds)


def _mel(waveform: Float[Tensor, "1 n"], sample_rate: int) -> Tensor:
    """Codebooks in bytes, low bands first in each column."""
    hop = sample_rate // MEL_RATE
    spectrogram = LogMel(sample_rate, n_fft=4 * hop, hop_length=hop, num_mels=NUM_MELS)
    decibels = spectrogram(waveform[None, :, : waveform.shape[1] // hop * hop])[0] * 8.69
    share = 1 + (decibels - decibels.max()) / MEL_DECIBELS
    codebooks: Tensor = (share.clamp(0, 1) * 255).round().to(torch.uint8)
    return codebooks
