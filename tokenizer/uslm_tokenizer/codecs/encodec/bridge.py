"""The original `encodec` package, importable also where its dependency torchaudio is not.

For `.ecdc` files, and as the reference that tests compare with; training has its own discriminator.

`import encodec` imports torchaudio, but of all torchaudio only one class does any work in what we
use: the complex spectrogram in front of the discriminator, a call of `torch.stft`. (The rest is
file reading and resampling, which we do ourselves.) The builds of torchaudio on PyPI for Linux
do not load beside a CPU build of torch. There, a stand-in that has this one class takes
its place while encodec is imported, and only then, so that no other package ever meets it.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Complex, Float
from torch import Tensor, nn

from uslm_tokenizer.environment import torchaudio_fault
from uslm_tokenizer.errors import EnvironmentProblem


def ms_stft_discriminator(
    filters: int = 32, *, channels: int = 1, n_ffts: Sequence[int] = (2048, 1024, 512)
) -> nn.Module:
    """EnCodec's multi-scale STFT discriminator (arXiv 2210.13438, section 3.4), untrained.

    Called with a waveform [b, channels, n], n >= max(n_ffts), it returns two lists with an entry
    for each scale: the logits [b, 1, t, f], and the five feature maps [b, filters, t, f].
    """
    discriminator = import_encodec().msstftd.MultiScaleSTFTDiscriminator
    with warnings.catch_warnings():
        # encodec uses the old weight_norm; its parameter names are those of the published code.
        warnings.filterwarnings("ignore", ".*weight_norm.* is deprecated", FutureWarning)
        built: nn.Module = discriminator(
            filters,
            in_channels=channels,
            n_ffts=list(n_ffts),
            win_lengths=list(n_ffts),
            hop_lengths=[n_fft // 4 for n_fft in n_ffts],
        )
    return built


@cache
def import_encodec() -> Any:
    """The package `encodec`, its modules `msstftd`, `binary` and `compress` loaded."""
    if find_spec("encodec") is None:
        raise EnvironmentProblem(
            "the package encodec is not installed: pip install --no-deps encodec "
            "(--no-deps leaves out torchaudio, which beside a CPU build of torch does not load)"
        )
    loads = find_spec("torchaudio") is not None and torchaudio_fault() is None
    with nullcontext() if loads else _in_place_of_torchaudio(_StandIn()):
        for part in ("msstftd", "binary", "compress"):
            import_module(f"encodec.{part}")
    return sys.modules["encodec"]


@contextmanager
def _in_place_of_torchaudio(stand_in: ModuleType) -> Iterator[None]:
    sys.modules["torchaudio"] = stand_in
    try:
        yield
    finally:
        del sys.modules["torchaudio"]


class _StandIn(ModuleType):
    """A `torchaudio` with the one class that encodec's discriminator needs."""

    def __init__(self) -> None:
        super().__init__("torchaudio", "Stands in while encodec is imported.")
        self.__spec__ = ModuleSpec("torchaudio", None)
        self.transforms = SimpleNamespace(Spectrogram=ComplexSpectrogram)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise EnvironmentProblem(
            f"this function of encodec needs torchaudio.{name}, and torchaudio does not load here; "
            "read, write and resample audio with uslm_tokenizer.audio.read"
        )


class ComplexSpectrogram(nn.Module):
    """`torchaudio.transforms.Spectrogram` for `power=None`: the same buffer and the same values."""

    window: Tensor

    def __init__(
        self,
        *,
        n_fft: int,
        hop_length: int,
        win_length: int,
        window_fn: Callable[[int], Tensor],
        normalized: bool,
        center: bool,
        pad_mode: str | None,
        power: float | None,
    ) -> None:
        super().__init__()
        assert power is None and not center and pad_mode is None
        self.n_fft, self.hop_length, self.win_length = n_fft, hop_length, win_length
        self.normalized = normalized
        self.register_buffer("window", window_fn(win_length))

    def forward(self, waveform: Float[Tensor, "b c n"]) -> Complex[Tensor, "b c f t"]:
        spectrum = torch.stft(
            rearrange(waveform, "b c n -> (b c) n"),
            self.n_fft,
            self.hop_length,
            self.win_length,
            self.window,
            center=False,
            return_complex=True,
        )
        if self.normalized:
            spectrum = spectrum / self.window.square().sum().sqrt()
        return rearrange(spectrum, "(b c) f t -> b c f t", b=len(waveform))
