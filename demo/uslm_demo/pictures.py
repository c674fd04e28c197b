"""A picture of speech as the models see it: waveform, mel and codes on one time axis."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import torch

from uslm.output.speech import Speech
from uslm.voices.prompt import VoicePrompt
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.errors import EnvironmentProblem
from uslm_tokenizer.nn.spectral import LogMel

if TYPE_CHECKING:
    from jaxtyping import Float
    from matplotlib.axes import Axes
    from torch import Tensor

MAX_SECONDS = 30.0
"""More speech than this is not drawn: nothing could be told apart."""
INK, ACCENT = "#27496d", "#c8553d"


def draw_speech(
    speech: Speech,
    voice: VoicePrompt,
    path: str | PathLike[str],
    *,
    tokenizer: AudioTokenizer | None = None,
) -> Path:
    """Write a PNG: the prompt left of 0 s, the speech right of it.

    With the tokenizer, the waveform is decoded from the very codes below it, the prompt's too.
    Without, it is the finished speech, and the codes are spread over its length: they may lie some
    tenths of a second off, for silence is trimmed from finished speech.
    """
    share = min(1.0, MAX_SECONDS / speech.seconds)
    spoken = speech.codes[:, : round(share * speech.codes.shape[1])]
    if tokenizer is None:
        rate = speech.sample_rate
        num_samples = round(share * speech.waveform.shape[1])
        prompt_samples = round(voice.seconds * rate)
        waveform = torch.cat(
            [torch.zeros(1, prompt_samples), speech.waveform[:, :num_samples]], dim=1
        )
    else:
        rate, hop = tokenizer.sample_rate, tokenizer.hop_length
        codes = torch.cat([voice.codes, spoken], dim=1)[None]
        with torch.inference_mode():
            waveform = tokenizer.decode(codes.to(tokenizer.device))[0].cpu()
        prompt_samples = voice.codes.shape[1] * hop
    start, end = -prompt_samples / rate, (waveform.shape[1] - prompt_samples) / rate

    figure = _figure()
    wave, mel, heat = figure.subplots(3, 1, sharex=True, height_ratios=[2, 3, 3])
    seconds = (torch.arange(waveform.shape[1]) - prompt_samples) / rate
    wave.plot(seconds.numpy(), waveform[0].numpy(), color=INK, linewidth=0.4)
    peak = max(0.01, 1.05 * float(waveform.abs().max()))
    wave.set(ylabel="waveform", ylim=(-peak, peak))
    _title(wave, f"{voice.name} | {speech.text or 'converted speech'}")
    _draw_mel(mel, waveform, rate, (start, end))
    _draw_codes(heat, voice.codes, (start, 0.0))
    _draw_codes(heat, spoken, (0.0, end))
    heat.set(xlabel="seconds", ylabel="codes", xlim=(start, end))
    for axes in (wave, mel, heat):
        axes.axvline(0, color=ACCENT, linewidth=1.5)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130, format="png")
    return Path(path)


def _figure() -> Any:
    # No pyplot: it keeps figures in a global list, and asks for a screen.
    try:
        from matplotlib.figure import Figure
    except ImportError as problem:
        raise EnvironmentProblem(
            f'pictures need matplotlib ({problem}): pip install "uslm[demo]"'
        ) from problem
    return Figure(figsize=(11, 6.5), layout="constrained")


def _title(axes: Axes, text: str) -> None:
    """Any text: cut to one line, without what the font lacks; a $ is no formula."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    font = get_font(findfont(FontProperties()))
    line = shorten(text, 110, placeholder=" …")
    line = "".join(char if font.get_char_index(ord(char)) else "?" for char in line)
    axes.set_title(line, loc="left", fontsize=9, parse_math=False)


def _draw_mel(
    axes: Axes, waveform: Float[Tensor, "1 n"], sample_rate: int, span: tuple[float, float]
) -> None:
    hop = sample_rate // 100
    spectrogram = LogMel(sample_rate, n_fft=4 * hop, hop_length=hop, num_mels=80)
    whole = waveform[None, :, : waveform.shape[1] // hop * hop]
    decibels = spectrogram(whole)[0].T.numpy() * 8.69  # 20 / ln 10
    top = float(decibels.max())
    axes.imshow(
        decibels, extent=(*span, 0, 80), aspect="auto", origin="lower", cmap="magma",
        vmin=top - 80, vmax=top,
    )  # fmt: skip
    axes.set(ylabel="mel band", yticks=[0, 40, 80])


def _draw_codes(axes: Axes, codes: Float[Tensor, "k t"], span: tuple[float, float]) -> None:
    codebooks = len(codes)
    axes.imshow(
        codes.numpy(), extent=(*span, codebooks - 0.5, -0.5), aspect="auto", cmap="viridis",
        interpolation="nearest", vmin=0,
    )  # fmt: skip
    axes.set_yticks(
        range(codebooks), ["units", *(f"codebook {i}" for i in range(1, codebooks))], fontsize=8
    )
