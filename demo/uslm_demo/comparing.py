"""Two codecs on one clip: what each makes of it, in bits, in codes and to the recogniser."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from uslm.evaluation.metrics.codec_measures import mel_distance
from uslm.systems.loading import resolve_synthesizer
from uslm_demo.model import Model
from uslm_demo.tokens import code_tracks, sound_tracks, view
from uslm_demo.widgets.sounds import Sounds
from uslm_tokenizer.audio.read import Audio, resample
from uslm_tokenizer.codecs.transformers.base import transformers_family
from uslm_tokenizer.errors import UserError
from uslm_tokenizer.hub import CONFIG_FILE
from uslm_tokenizer.registry import load_tokenizer, outline_tokenizer

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

    from uslm_tokenizer.base import AudioTokenizer


@dataclass(frozen=True, kw_only=True)
class CodecChoice:
    """A codec at one bit rate."""

    name: str
    num_codebooks: int = 0
    """0: all of them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Coded:
    """A clip that went through a codec."""

    choice: CodecChoice
    tokenizer: AudioTokenizer
    codes: Int[Tensor, "k t"]
    waveform: Float[Tensor, "1 n"]
    """What came out, at the codec's own rate."""
    mel_distance: float
    """To the clip; less is better."""

    @property
    def bit_rate(self) -> float:
        """Bits per second."""
        tokenizer = self.tokenizer
        return len(self.codes) * tokenizer.frame_rate * math.log2(tokenizer.codebook_size)

    def __str__(self) -> str:
        rate, count = self.tokenizer.frame_rate, len(self.codes)
        codebooks = "1 codebook" if count == 1 else f"{count} codebooks"
        return (
            f"**{self.choice.name}**, {codebooks} of {self.tokenizer.codebook_size} codes, "
            f"{rate:g} frames per second: {self.bit_rate / 1000:.2f} kbit/s, "
            f"mel distance {self.mel_distance:.2f}"
        )


class Codecs:
    """The codecs that visitors may compare: the model's own, and those that were named."""

    def __init__(self, model: Model, named: Sequence[str] = ()) -> None:
        """`named` are names of the catalogue, folders or Hub repositories."""
        self._folders = {name: name for name in named}
        own = resolve_synthesizer(model.name) / "tokenizer"
        if own.is_dir():
            self._folders = {f"{model.settings().name} codec": str(own), **self._folders}
        self._loaded: dict[str, tuple[AudioTokenizer, int]] = {}
        self._lock = threading.Lock()

    @property
    def names(self) -> list[str]:
        """Names to choose from."""
        return list(self._folders)

    def fewest_codebooks(self, name: str) -> int:
        """Codebooks of the codec's lowest bit rate; loads no weights. 0, for all of them, where
        the codec is none of ours that is on this machine."""
        folder = Path(self._folders[name])
        if not (folder / CONFIG_FILE).is_file() or transformers_family(folder):
            return 0
        outline = outline_tokenizer(folder)
        for count in range(1, outline.num_codebooks):
            with contextlib.suppress(UserError):
                outline.use_codebooks(count)
                return count
        return outline.num_codebooks

    def code(self, clip: Audio, choice: CodecChoice) -> Coded:
        """Encode and decode a clip. UserError if there is no such codec, or it cannot."""
        with self._lock:  # the number of codebooks is a state of the codec
            tokenizer, most = self._load(choice.name)
            tokenizer.use_codebooks(choice.num_codebooks or most)
            waveform = clip.resampled(tokenizer.sample_rate).waveform
            with torch.inference_mode():
                codes = tokenizer.encode(waveform[None])
                decoded = tokenizer.decode(codes)[0, :, : waveform.shape[1]].clamp(-1, 1)
            distance = mel_distance(waveform[0], decoded[0], tokenizer.sample_rate)
        return Coded(
            choice=choice, tokenizer=tokenizer, codes=codes[0], waveform=decoded,
            mel_distance=distance,
        )  # fmt: skip

    def _load(self, name: str) -> tuple[AudioTokenizer, int]:
        if name not in self._folders:
            raise UserError(f"there is no codec {name!r}; there are {', '.join(self.names)}")
        if name not in self._loaded:
            tokenizer = load_tokenizer(self._folders[name])
            self._loaded[name] = tokenizer, tokenizer.num_codebooks
        return self._loaded[name]


def comparison(clip: Audio, coded: Sequence[Coded], sounds: Sounds) -> dict[str, Any]:
    """The clip, and below it what each codec made of it, on one time axis."""
    rate = max(each.tokenizer.sample_rate for each in coded)
    original = clip.resampled(rate).waveform
    tracks = sound_tracks(original, rate, 0, "clip")
    decoded = []
    for place, each in enumerate(coded, start=1):
        waveform = resample(each.waveform, each.tokenizer.sample_rate, rate)
        tracks += sound_tracks(waveform, rate, place, "AB"[place - 1])
        codes = code_tracks(each.codes, each.tokenizer, place)
        tracks += [{**track, "label": f"{'AB'[place - 1]} {track['label']}"} for track in codes]
        decoded.append(waveform)
    return view(original, rate, 0.0, tracks, sounds, *decoded)
