"""Results of a validation: numbers, and what one can hear, see and read of some utterances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from uslm_recipes.loop.trackers import play_sound, show_picture
from uslm_tokenizer.audio.write import write_audio

if TYPE_CHECKING:
    from accelerate import Accelerator
    from matplotlib.figure import Figure

FOLDER = "validation"


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Numbers, and samples by name."""

    values: Mapping[str, float]
    """Its "loss", if there is one, decides what the best step was."""
    sounds: Mapping[str, tuple[Float[Tensor, " n"], int]] = field(default_factory=dict)
    """Waveforms in [-1, 1], with their sample rates in Hz."""
    pictures: Mapping[str, Figure] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)


def keep_samples(
    found: Validation, out: Path, step: int, accelerator: Accelerator | None = None
) -> None:
    """Write sounds, pictures and texts to `out`/validation/step-N, and hand them to trackers."""
    if not (found.sounds or found.pictures or found.texts):
        return
    folder = out / FOLDER / f"step-{step:08d}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, (waveform, sample_rate) in found.sounds.items():
        sound = waveform.detach().float().cpu().clamp(-1, 1)
        write_audio(folder / f"{name}.wav", sound[None], sample_rate, force=True)
        if accelerator is not None:
            play_sound(accelerator, f"valid/{name}", sound, sample_rate, step)
    for name, figure in found.pictures.items():
        path = folder / f"{name}.png"
        figure.savefig(path, dpi=100, format="png")
        if accelerator is not None:
            show_picture(accelerator, f"valid/{name}", path, step)
    if found.texts:
        lines = [f"{name}: {text}\n" for name, text in found.texts.items()]
        (folder / "texts.txt").write_text("".join(lines), encoding="utf-8")
        if accelerator is not None:
            accelerator.log(
                {f"valid/{name}": text for name, text in found.texts.items()}, step=step
            )


def codebook_perplexity(counts: Float[Tensor, " v"]) -> float:
    """Perplexity of a codebook: the number of codes in use, as if all of them were used alike."""
    share = counts.double() / counts.sum().clamp(min=1)
    return float(torch.exp(-torch.special.xlogy(share, share).sum()))
