"""Baselines for the bench: residual k-means of log-mel frames, and a permuted codebook."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from uslm.evaluation.suites.encoded import EncodedSet, EncodedSpeech
from uslm_tokenizer.audio.read import resample
from uslm_tokenizer.codecs.unit_only import UnitOnlyTokenizer
from uslm_tokenizer.errors import UserError
from uslm_tokenizer.nn.spectral import LogMel
from uslm_tokenizer.quantize import kmeans
from uslm_tokenizer.quantize.kmeans import KMeans, KMeansConfig

MAX_FRAMES = 20_000
"""Frames that the centroids are fitted to; of more, so many are drawn."""


@dataclass(frozen=True, kw_only=True)
class MelUnitsConfig:
    """Sizes of MelUnits."""

    sample_rate: int = 16_000
    """Samples per second, Hz."""
    hop_length: int = 320
    """Samples of a frame."""
    num_mels: int = 40
    """Mel bands."""
    codebook_size: int = 128
    """Centroids of each codebook."""
    num_codebooks: int = 1
    """Codebooks; each codes what those before it left over."""


class MelUnits(UnitOnlyTokenizer):
    """Log-mel spectrogram, less its mean over the utterance -> k-means codes [b, k, t]."""

    model_type: ClassVar[str] = "mel_units"
    config_class: ClassVar[type] = MelUnitsConfig
    config: MelUnitsConfig

    def __init__(self, config: MelUnitsConfig) -> None:
        super().__init__(config)
        self.mel = LogMel(config.sample_rate, 800, config.hop_length, config.num_mels)
        codebook = KMeansConfig(dim=config.num_mels, codebook_size=config.codebook_size)
        self.codebooks = torch.nn.ModuleList(KMeans(codebook) for _ in range(config.num_codebooks))

    @property
    def sample_rate(self) -> int:
        return self.config.sample_rate

    @property
    def hop_length(self) -> int:
        return self.config.hop_length

    @property
    def num_codebooks(self) -> int:
        return self.config.num_codebooks

    @property
    def codebook_size(self) -> int:
        return self.config.codebook_size

    @classmethod
    def tiny_config(cls) -> MelUnitsConfig:
        return MelUnitsConfig(num_mels=8, codebook_size=8, num_codebooks=2)

    @torch.no_grad()
    def fit(
        self,
        waveforms: Sequence[Float[Tensor, "1 _"]],
        sample_rate: int,
        *,
        generator: torch.Generator,
        iterations: int = 20,
    ) -> None:
        """Place the centroids, codebook after codebook."""
        frames = torch.cat(
            [self.features(resample(x, sample_rate, self.sample_rate)[None])[0] for x in waveforms]
        )
        if len(frames) < self.codebook_size:
            raise UserError(
                f"{self.codebook_size} centroids need as many frames, not {len(frames)}"
            )
        frames = frames[torch.randperm(len(frames), generator=generator)[:MAX_FRAMES]]
        for codebook in self.codebooks:
            assert isinstance(codebook, KMeans)
            centroids = kmeans.fit(
                frames, self.codebook_size, iterations=iterations, generator=generator
            )
            codebook.centroids.copy_(centroids)
            frames = frames - centroids[kmeans.nearest(frames, centroids)[0]]

    def features(self, waveform: Float[Tensor, "b 1 n"]) -> Float[Tensor, "b t m"]:
        """Features to be quantised."""
        whole = F.pad(waveform, (0, -waveform.shape[-1] % self.hop_length))
        mel: Tensor = self.mel(whole)
        return mel - mel.mean(1, keepdim=True)

    @torch.no_grad()
    def encode(
        self, waveform: Float[Tensor, "b 1 n"], lengths: Int[Tensor, " b"] | None = None
    ) -> Int[Tensor, "b k t"]:
        self.check_waveform(waveform)
        return self.encode_by_length(waveform, lengths, self._encode)

    def _encode(self, waveform: Float[Tensor, "b 1 n"]) -> Int[Tensor, "b k t"]:
        residual, codes = self.features(waveform).transpose(1, 2), []
        for codebook in self.codebooks:
            assert isinstance(codebook, KMeans)
            codes.append(codebook.encode(residual))
            residual = residual - codebook.decode(codes[-1])
        return torch.cat(codes, 1)


def permuted(encoded: EncodedSet, generator: torch.Generator) -> EncodedSet:
    """The same tokens under other numbers: a control that must change nothing."""
    orders = torch.stack(
        [
            torch.randperm(encoded.codebook_size, generator=generator)
            for _ in range(encoded.num_codebooks)
        ]
    )

    def renamed(rows: Sequence[EncodedSpeech]) -> tuple[EncodedSpeech, ...]:
        return tuple(
            EncodedSpeech(codes=orders.gather(1, row.codes), speech=row.speech) for row in rows
        )

    return EncodedSet(
        name=f"{encoded.name}, permuted",
        train=renamed(encoded.train),
        test=renamed(encoded.test),
        frame_rate=encoded.frame_rate,
        codebook_size=encoded.codebook_size,
        num_codebooks=encoded.num_codebooks,
        real_time_factor=encoded.real_time_factor,
    )
