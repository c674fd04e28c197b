"""Pictures of a validation: how speech looks, where a text lies in it, which codes are used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm_tokenizer.errors import EnvironmentProblem
from uslm_tokenizer.nn.spectral import LogMel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, ACCENT = "#27496d", "#c8553d"


def draw_mels(waveforms: Mapping[str, Float[Tensor, " n"]], sample_rate: int) -> Figure:
    """Mel spectrograms below each other, on one scale."""
    figure: Figure = _figure(1.8 * len(waveforms))
    hop = sample_rate // 100
    mel = LogMel(sample_rate, n_fft=4 * hop, hop_length=hop, num_mels=80)
    pictures = {
        # Back from what a validation in bf16 makes of it: NumPy does not know that.
        name: mel(w.detach().float().cpu()[None, None, : len(w) // hop * hop])[0].T.float()
        for name, w in waveforms.items()
    }
    top = max(float(picture.max()) for picture in pictures.values())
    rows = figure.subplots(len(pictures), 1, squeeze=False)[:, 0]
    for axes, (name, picture) in zip(rows, pictures.items(), strict=True):
        seconds = picture.shape[1] * hop / sample_rate
        axes.imshow(
            picture.numpy(), extent=(0, seconds, 0, 80), aspect="auto", origin="lower",
            cmap="magma", vmin=top - 9, vmax=top,
        )  # fmt: skip
        axes.set(ylabel=name, yticks=[])
    rows[-1].set(xlabel="seconds")
    return figure


def draw_alignment(
    symbols: Sequence[str],
    paths: Mapping[str, Int[Tensor, " t"]],
    scores: Float[Tensor, "s t"] | None = None,
) -> Figure:
    """Picture of the symbol that each frame belongs to; `scores` in [0, 1] lie under the paths."""
    figure: Figure = _figure(min(9.0, 2 + 0.09 * len(symbols)))
    axes = figure.subplots()
    if scores is not None:
        axes.imshow(
            scores.float().numpy(), aspect="auto", origin="lower", cmap="Blues", vmin=0, vmax=1,
            interpolation="nearest",
        )  # fmt: skip
    for (name, path), colour in zip(paths.items(), (ACCENT, INK), strict=False):
        axes.plot(path.numpy(), color=colour, linewidth=1.2, label=name)
    axes.set(xlabel="frame", ylabel="symbol", ylim=(-0.5, len(symbols) - 0.5))
    axes.set_yticks(range(len(symbols)), symbols, fontsize=7, parse_math=False)
    axes.legend(loc="upper left", frameon=False, fontsize=8)
    return figure


def draw_codebooks(counts: Mapping[str, Float[Tensor, " v"]]) -> Figure:
    """Picture of how often each code is used, the most used first; one line a codebook."""
    figure: Figure = _figure(3.2)
    axes = figure.subplots()
    for name, each in counts.items():
        share = each.double().sort(descending=True).values / each.sum().clamp(min=1)
        axes.plot(share.clamp(min=1e-7).numpy(), label=name, linewidth=1)
    axes.set(xlabel="codes, the most used first", ylabel="share of frames", yscale="log")
    axes.legend(frameon=False, fontsize=8)
    return figure


def _figure(height: float) -> Any:
    # No pyplot: it keeps figures in a global list, and asks for a screen.
    try:
        from matplotlib.figure import Figure
    except ImportError as problem:
        raise EnvironmentProblem(
            "pictures need matplotlib: pip install 'uslm[train]', or give loop.samples=0"
        ) from problem
    return Figure(figsize=(9, height), layout="constrained")


def count_codes(codes: Int[Tensor, ...], codebook_size: int) -> Float[Tensor, " v"]:
    """Counts of each code of a codebook."""
    return torch.bincount(codes.flatten().cpu(), minlength=codebook_size).float()
