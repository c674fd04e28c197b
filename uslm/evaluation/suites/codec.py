"""A tokenizer by itself: recordings encoded and decoded, and how its codes are used."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm.evaluation.metrics.bootstrap import Estimate, estimate
from uslm.evaluation.metrics.codec_measures import has_pesq, measure_pair
from uslm.evaluation.report.report import Section
from uslm_tokenizer.audio.read import read_audio
from uslm_tokenizer.audio.write import write_audio
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.errors import MissingResource

MAX_SECONDS = 30.0
"""Of a longer recording only the beginning is measured."""


def resynthesize(tokenizer: AudioTokenizer, waveform: Float[Tensor, "1 n"]) -> Float[Tensor, "1 n"]:
    """Encoded and decoded: the best that any language model over these codes can sound."""
    return _decode(tokenizer, tokenizer.encode(waveform[None].to(tokenizer.device)), waveform)


def _decode(
    tokenizer: AudioTokenizer, codes: Int[Tensor, "1 k t"], like: Float[Tensor, "1 n"]
) -> Float[Tensor, "1 n"]:
    return tokenizer.decode(codes)[0, :, : like.shape[1]].cpu().clamp(-1, 1)


@dataclass
class CodeCounts:
    """Counts of each code of each codebook."""

    tokenizer: AudioTokenizer

    def __post_init__(self) -> None:
        shape = (self.tokenizer.num_codebooks, self.tokenizer.codebook_size)
        self.counts = torch.zeros(shape, dtype=torch.long)

    def add(self, codes: Int[Tensor, "1 k t"]) -> None:
        """Count the codes of one recording."""
        for codebook, row in enumerate(codes[0].cpu()):
            self.counts[codebook] += torch.bincount(row, minlength=self.counts.shape[1])

    def entropy(self, codebook: int) -> float:
        """Bits that a code of the codebook carries."""
        share = self.counts[codebook].double() / self.counts[codebook].sum()
        return float(-(share * share.clamp(min=1e-12).log2()).sum())

    def section(self) -> Section:
        """Use of each codebook, and bits per second."""
        tokenizer, rows = self.tokenizer, {}
        entropies = [self.entropy(codebook) for codebook in range(tokenizer.num_codebooks)]
        for codebook, bits in enumerate(entropies):
            used = float((self.counts[codebook] > 0).double().mean())
            rows[f"codebook {codebook}"] = {"codes_used": _fact(used), "perplexity": _fact(2**bits)}
        rate, size = tokenizer.frame_rate, math.log2(tokenizer.codebook_size)
        rows["all"] = {
            "bit_rate": _fact(rate * size * tokenizer.num_codebooks),
            "entropy_rate": _fact(rate * sum(entropies)),
            "token_rate": _fact(rate * tokenizer.num_codebooks),
        }
        frames = int(self.counts[0].sum())
        return Section(
            title="Codes",
            note=(
                f"{tokenizer.num_codebooks} codebooks of {tokenizer.codebook_size} codes, "
                f"{rate:g} frames per second, over {frames} frames. Perplexity: as many codes, "
                "used evenly, would carry as much. By entropy: what an ideal coder of single codes "
                "would need."
            ),
            rows=rows,
        )


def codec_sections(
    tokenizer: AudioTokenizer,
    recordings: Sequence[Path],
    folder: Path,
    generator: torch.Generator,
) -> tuple[dict[str, Section], list[dict[str, Any]]]:
    """Encode and decode each recording; both sounds go to `folder`. MissingResource without."""
    for recording in recordings:
        if not recording.is_file():
            raise MissingResource(f"there is no recording {str(recording)!r}")
    (folder / "codec").mkdir(parents=True, exist_ok=True)
    counts = CodeCounts(tokenizer)
    utterances: list[dict[str, Any]] = []
    for number, recording in enumerate(recordings):
        audio = read_audio(recording, max_seconds=MAX_SECONDS).resampled(tokenizer.sample_rate)
        codes = tokenizer.encode(audio.waveform[None].to(tokenizer.device))
        counts.add(codes)
        decoded = _decode(tokenizer, codes, audio.waveform)
        values = measure_pair(audio.waveform[0], decoded[0], tokenizer.sample_rate)
        names = {"original": f"codec/{number:04d}.wav", "audio": f"codec/{number:04d}-decoded.wav"}
        for path, waveform in zip(names.values(), (audio.waveform, decoded), strict=True):
            write_audio(folder / path, waveform, tokenizer.sample_rate, force=True)
        rounded = {name: round(value, 4) for name, value in values.items()}
        utterances.append({**names, "recording": recording.name, **rounded})
    columns = dict.fromkeys(name for each in utterances for name in each if name in _MEASURED)
    row = {
        name: estimate([each[name] for each in utterances if name in each], generator=generator)
        for name in columns
    }
    note = (
        f"{len(recordings)} recordings, encoded and decoded. PESQ 1 to 4.6, STOI 0 to 1, SI-SDR in "
        "dB and F0 correlation: more is better; mel distance: less is."
    )
    if not has_pesq():
        note += " PESQ was not measured: pip install 'uslm[pesq]' compiles it."
    sections = {
        "codec": Section(title="Codec alone", note=note, rows={"all": row}),
        "codes": counts.section(),
    }
    return sections, utterances


_MEASURED = ("pesq", "stoi", "si_sdr", "mel_distance", "f0_correlation")


def _fact(value: float) -> Estimate:
    """Not a mean of samples, so without an interval."""
    return Estimate(value=value, low=value, high=value, count=1)
