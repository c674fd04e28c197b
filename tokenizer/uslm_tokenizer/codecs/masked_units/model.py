"""Units of a network that was taught to predict labels of hidden frames.

HuBERT (Hsu et al. 2021), BEATs (Chen et al. 2023, arXiv 2212.09058) and SPEAR (Yang et al. 2025,
arXiv 2510.25955) differ in where the labels come from, and in what the encoder sees of a hidden
frame. `uslm_recipes.train_masked_units` trains all three; its model is the teacher of the next
iteration. As a tokenizer it says the label that it takes each frame for, nothing being hidden.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from uslm_tokenizer.codecs.masked_units.encoder import MaskedEncoder, run_on_frames
from uslm_tokenizer.codecs.unit_only import UnitOnlyTokenizer
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.nn.transformer import Transformer


@dataclass(frozen=True, kw_only=True)
class MaskedUnitsConfig:
    """Sizes of a MaskedUnits."""

    num_mels: int = 64
    """Mel bands of the input, two spectra for each frame."""
    dim: int = 256
    """Width of encoder and predictor."""
    num_heads: int = 4
    """Their attention heads."""
    num_layers: int = 6
    """Layers of the encoder."""
    hidden_frames: Literal["embedded", "left out"] = "embedded"
    """Whether the encoder sees a vector in the place of a hidden frame, or nothing."""
    num_predictor_layers: int = 0
    """Layers between encoder and labels; where hidden frames are left out, one at least."""
    num_codebooks: int = 1
    """Labels of a frame."""
    codebook_size: int = 500
    """Different values of each."""
    dropout: float = 0.0
    """Share of activations dropped in training."""

    def __post_init__(self) -> None:
        for name in ("num_layers", "num_codebooks", "codebook_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, but is {getattr(self, name)}")
        if self.hidden_frames == "left out" and self.num_predictor_layers < 1:
            raise ConfigError(
                'num_predictor_layers must be at least 1 where hidden_frames is "left out", '
                f"but is {self.num_predictor_layers}"
            )


class MaskedUnits(UnitOnlyTokenizer):
    """Waveform -> labels [b, k, t]; `encoder` is what they were learnt for."""

    model_type: ClassVar[str] = "masked_units"
    config_class: ClassVar[type] = MaskedUnitsConfig
    config: MaskedUnitsConfig

    def __init__(self, config: MaskedUnitsConfig) -> None:
        super().__init__(config)
        self.encoder = MaskedEncoder(
            config.num_mels, config.dim, config.num_heads, config.num_layers, config.dropout
        )
        self.predictor = Transformer(
            config.dim, config.num_heads, config.num_predictor_layers, dropout=config.dropout
        )
        self.hidden_feature = nn.Parameter(0.02 * torch.randn(config.dim))
        self.heads = nn.Linear(config.dim, config.num_codebooks * config.codebook_size)

    @property
    def sample_rate(self) -> int:
        return self.encoder.sample_rate

    @property
    def hop_length(self) -> int:
        return self.encoder.hop_length

    @property
    def num_codebooks(self) -> int:
        return self.config.num_codebooks

    @property
    def codebook_size(self) -> int:
        return self.config.codebook_size

    @classmethod
    def tiny_config(cls) -> MaskedUnitsConfig:
        return MaskedUnitsConfig(
            num_mels=8, dim=16, num_heads=2, num_layers=2, hidden_frames="left out",
            num_predictor_layers=1, num_codebooks=2, codebook_size=16,
        )  # fmt: skip

    @torch.no_grad()
    def encode(
        self, waveform: Float[Tensor, "b 1 n"], lengths: Int[Tensor, " b"] | None = None
    ) -> Int[Tensor, "b k t"]:
        self.check_waveform(waveform)
        frames, real = self.encoder.frames(waveform, lengths)
        best: Tensor = self(frames, real).argmax(-1)
        return best

    def forward(
        self,
        frames: Float[Tensor, "b t m"],
        real: Bool[Tensor, "b t"],
        hidden: Bool[Tensor, "b t"] | None = None,
    ) -> Float[Tensor, "b k t v"]:
        """Scores of each label, of frames as `encoder.frames` makes them."""
        leave_out = self.config.hidden_frames == "left out"
        x = self.encoder.encode_frames(frames, real, hidden, leave_out=leave_out)
        if self.config.num_predictor_layers:
            if hidden is not None and leave_out:
                x = torch.where(hidden[..., None], self.hidden_feature.to(x.dtype), x)
            x = run_on_frames(self.predictor, x.to(self.heads.weight.dtype), real)
        scores: Tensor = self.heads(x.to(self.heads.weight.dtype)).float()
        return rearrange(scores, "b t (k v) -> b k t v", k=self.num_codebooks)
