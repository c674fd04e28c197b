"""Features of a pretrained speech encoder, 50 per second: what semantic units come from."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.nn.padding import length_mask
from uslm_tokenizer.ssl.backbones import (
    build_backbone,
    load_backbone,
    wants_normalised_waveform,
)
from uslm_tokenizer.ssl.base import SpeechEncoder
from uslm_tokenizer.ssl.front_ends import (
    HOP_LENGTH,
    SAMPLE_RATE,
    KaldiFilterBank,
    WhisperLogMel,
    normalise_waveform,
)
from uslm_tokenizer.ssl.whisper import whisper_outputs
from uslm_tokenizer.transformers_package import network_shape

WINDOW = 400
"""Samples that one output of the convolutions, or one frame of the filter bank, sees."""
FAMILIES = ("hubert", "wav2vec2", "wav2vec2-bert", "wavlm", "whisper")


@dataclass(frozen=True, kw_only=True)
class SSLConfig:
    """A speech encoder, and how its output is processed."""

    backbone: dict[str, object]
    """The transformers configuration as its `to_dict` gives it; `model_type` names the family."""
    layers: tuple[int, ...]
    """Blocks whose outputs are averaged, counted from 1; the very last after the final norm."""
    normalise_waveform: bool = False
    """Whether HuBERT, WavLM or wav2vec2 was trained on waveforms of zero mean and unit variance."""
    layer_weights: Literal["mean", "learnt"] = "mean"
    """Whether the layers count alike, or by weights that whoever trains the encoder learns."""
    padding: Literal["both", "end", "none"] = "both"
    """Silence for the windows, longer than a hop, that reach beyond the waveform: at both ends, so
    that frame i is centred in hop i; at the end only, so that it begins with hop i; or none, as
    feature extractors elsewhere have it, which makes a frame less. Whisper has its own."""

    def __post_init__(self) -> None:
        family = self.backbone.get("model_type")
        if family not in FAMILIES:
            raise ConfigError(f"backbone.model_type must be one of {FAMILIES}, but is {family!r}")
        if not self.layers or min(self.layers) < 1 or len(set(self.layers)) < len(self.layers):
            raise ConfigError(f"layers must be different numbers from 1, but is {self.layers}")
        if self.padding == "none" and family == "whisper":
            raise ConfigError('padding must be "both" or "end" for Whisper, but is "none"')


class SSLEncoder(SpeechEncoder):
    """HuBERT, WavLM, wav2vec2, w2v-BERT or Whisper's encoder behind one call.

    Frozen unless `unfreeze` says otherwise; always in evaluation mode: nothing in it is drawn.

    Every chosen layer is standardised per dimension before the mean over layers is taken (Whisper's
    have outlier channels that would drown the rest); `fit_statistics` measures what that needs.
    A row of a padded batch gives what the row alone gives.
    """

    sample_rate = SAMPLE_RATE
    hop_length = HOP_LENGTH
    window_length = WINDOW
    mean: Tensor
    std: Tensor

    def __init__(self, config: SSLConfig, backbone: nn.Module | None = None) -> None:
        """Without a `backbone` one with random weights is built from the configuration."""
        super().__init__()
        self.config = config
        self.layers = tuple(sorted(config.layers))
        self.backbone = build_backbone(config.backbone) if backbone is None else backbone
        self.family = str(config.backbone["model_type"])
        self._check_frame_rate()
        self.num_blocks = len(self._blocks)
        if self.layers[-1] > self.num_blocks:
            raise ConfigError(
                f"layers must be at most {self.num_blocks}, the blocks of this "
                f"{self.family} encoder, but is {config.layers}"
            )
        del self._blocks[self.layers[-1] :]  # what is never read is neither run nor stored
        if self.family == "whisper":
            self.front_end: nn.Module = WhisperLogMel(self._block_config.num_mel_bins)
        elif self.family == "wav2vec2-bert":
            self.front_end = KaldiFilterBank()
        self.register_buffer("mean", torch.zeros(len(self.layers), self.dim))
        self.register_buffer("std", torch.ones(len(self.layers), self.dim))
        if config.layer_weights == "learnt":
            self.layer_logits = nn.Parameter(torch.zeros(len(self.layers)))
        self.requires_grad_(False).eval()

    @property
    def dim(self) -> int:
        return int(self._block_config.hidden_size)

    @property
    def pads(self) -> bool:
        return self.config.padding != "none"

    def unfreeze(self, *, backbone: bool = True, layer_weights: bool = True) -> None:
        """Let a loss reach the network, the weights of its layers, or both."""
        self.backbone.requires_grad_(backbone)
        if self.config.layer_weights == "learnt":
            self.layer_logits.requires_grad_(layer_weights)
        elif not backbone:
            raise ConfigError('layer_weights must be "learnt" to be trained, but are "mean"')

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str,
        *,
        layers: tuple[int, ...],
        padding: Literal["both", "end", "none"] = "both",
        layer_weights: Literal["mean", "learnt"] = "mean",
        revision: str | None = None,
        local_files_only: bool = False,
    ) -> "SSLEncoder":
        """Load a transformers folder or Hub model; the layer statistics are not fitted yet."""
        where = {"revision": revision, "local_files_only": local_files_only}
        model = load_backbone(name_or_path, where)
        family = model.config.model_type
        config = SSLConfig(
            backbone={"model_type": family} | network_shape(model.config),
            layers=layers,
            padding=padding,
            layer_weights=layer_weights,
            normalise_waveform=wants_normalised_waveform(name_or_path, model.config, where),
        )
        return cls(config, model.encoder if family == "whisper" else model).float()

    def train(self, mode: bool = True) -> "SSLEncoder":
        """Stays in evaluation mode, whatever the model around it does."""
        return super().train(False)

    def forward(
        self, waveform: Float[Tensor, "b 1 n"], lengths: Int[Tensor, " b"] | None = None
    ) -> tuple[Float[Tensor, "b t d"], Bool[Tensor, "b t"]]:
        """16 kHz audio to features and the mask of frames that are not padding.

        t = n // 320, or a frame less without padding.
        """
        outputs, mask = self.layer_outputs(waveform, lengths)
        return self.standardised(outputs).masked_fill(~mask[..., None], 0.0), mask

    def layer_outputs(
        self, waveform: Float[Tensor, "b 1 n"], lengths: Int[Tensor, " b"] | None = None
    ) -> tuple[Float[Tensor, "layers b t d"], Bool[Tensor, "b t"]]:
        """Outputs of the chosen layers, as they are; those of padding mean nothing."""
        waveform, lengths = self._clean(waveform[:, 0], lengths)
        trains = any(parameter.requires_grad for parameter in self.backbone.parameters())
        with torch.set_grad_enabled(trains and torch.is_grad_enabled()):
            outputs = torch.stack(self._hidden(waveform, lengths)).float()
        return outputs, length_mask(self.num_frames(lengths), outputs.shape[2])

    def standardised(self, outputs: Float[Tensor, "layers b t d"]) -> Float[Tensor, "b t d"]:
        """The mean over the layers, each standardised per dimension; or by their weights."""
        standard = (outputs - self.mean[:, None, None]) / self.std[:, None, None]
        if self.config.layer_weights == "mean":
            return standard.mean(0)
        return torch.einsum("l,lbtd->btd", self.layer_logits.softmax(0), standard)

    def features(
        self, waveform: Float[Tensor, "b n"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b t d"]:
        """As `forward`, for audio without a channel axis; the padding frames are zero."""
        features, _ = self(waveform[:, None], lengths)
        return features  # type: ignore[no-any-return]

    @torch.no_grad()
    def fit_statistics(
        self, batches: Iterable[tuple[Float[Tensor, "_ _"], Int[Tensor, " _"]]]
    ) -> None:
        """Measure mean and deviation of each layer and dimension over the frames of `batches`."""
        count, mean = 0, torch.zeros_like(self.mean)
        square = torch.zeros_like(self.std)  # the summed squared distance from the mean
        for batch, batch_lengths in batches:
            waveform, lengths = self._clean(batch, batch_lengths)
            outputs = torch.stack(self._hidden(waveform, lengths)).float()
            frames = outputs[:, length_mask(self.num_frames(lengths), outputs.shape[2])]
            here = frames.shape[1]
            if here == 0:
                continue
            here_mean = frames.mean(1)
            here_square = (frames - here_mean[:, None]).square().sum(1)
            # Chan et al. 1979: two sets' moments give those of their union, without cancellation.
            shift = here_mean - mean
            mean = mean + shift * (here / (count + here))
            square = square + here_square + shift.square() * (count * here / (count + here))
            count += here
        if count < 2:
            raise ValueError(f"statistics need at least 2 frames, but the batches hold {count}")
        self.mean.copy_(mean)
        self.std.copy_((square / count).sqrt() + 1e-3)  # a constant dimension must not explode

    def num_frames(self, lengths: Int[Tensor, " b"]) -> Int[Tensor, " b"]:
        """Frames of so many samples each."""
        if self.config.padding != "none":
            return lengths // HOP_LENGTH
        if self.family == "wav2vec2-bert":
            return (self._num_windows(lengths) + 1) // 2
        return ((lengths - WINDOW) // HOP_LENGTH + 1).clamp(min=0)

    def _check_frame_rate(self) -> None:
        """ConfigError unless a frame of the network is a hop of ours."""
        strides = getattr(self._block_config, "conv_stride", None)
        if self.family in ("hubert", "wav2vec2", "wavlm") and strides is not None:
            hop = prod(strides)
            if hop != HOP_LENGTH:
                raise ConfigError(
                    f"the speech encoder must have a frame for each {HOP_LENGTH} samples, "
                    f"{SAMPLE_RATE / HOP_LENGTH:g} per second, but this {self.family} has one for "
                    f"each {hop}, {SAMPLE_RATE / hop:g} per second"
                )

    @property
    def _block_config(self) -> Any:
        return self.backbone.config

    @property
    def _blocks(self) -> nn.ModuleList:
        owner = self.backbone if self.family == "whisper" else self.backbone.encoder
        return owner.layers  # type: ignore[union-attr, return-value]

    def _hidden(self, waveform: Tensor, lengths: Tensor) -> list[Tensor]:
        """The chosen layers' outputs [b t d], each with t = n // 320 frames."""
        if self.family == "whisper":
            mel = cast(WhisperLogMel, self.front_end)
            return whisper_outputs(self.backbone, mel, waveform, lengths, self.layers)
        if self.family == "wav2vec2-bert":
            return self._wav2vec2_bert(waveform, lengths)
        return self._wav2vec2(waveform, lengths)

    def _wav2vec2(self, waveform: Tensor, lengths: Tensor) -> list[Tensor]:
        """HuBERT, WavLM and wav2vec2: a strided convolution stack, then a transformer."""
        if self.config.normalise_waveform:
            waveform = normalise_waveform(waveform, length_mask(lengths, waveform.shape[1]))
        size = waveform.shape[1]
        # The convolutions see 400 samples every 320: 80 more give n // 320 frames.
        waveform = self._pad(waveform, WINDOW - HOP_LENGTH).to(self._dtype)
        extract: Any = self.backbone.feature_extractor
        if self._block_config.feat_extract_norm == "group" and bool((lengths < size).any()):
            # This norm takes its mean over time and would see the padding: one row at a time.
            ends = (lengths + waveform.shape[1] - size).clamp(min=WINDOW).tolist()
            rows = [extract(row[None, :end])[0].T for row, end in zip(waveform, ends, strict=True)]
            extracted = nn.utils.rnn.pad_sequence(rows, batch_first=True)
            missing = (waveform.shape[1] - WINDOW) // HOP_LENGTH + 1 - extracted.shape[1]
            extracted = F.pad(extracted, (0, 0, 0, missing))
        else:
            extracted = extract(waveform).transpose(1, 2)
        return self._transform(extracted, self.num_frames(lengths))

    def _wav2vec2_bert(self, waveform: Tensor, lengths: Tensor) -> list[Tensor]:
        """w2v-BERT: pairs of filter bank frames, then a conformer."""
        windows = self._num_windows(lengths)
        # Windows of 400 samples every 160: 240 more give 2 x (n // 320) of them.
        bank = self.front_end(self._pad(waveform, WINDOW - HOP_LENGTH // 2), windows)
        bank = F.pad(bank, (0, 0, 0, bank.shape[1] % 2))
        pairs = rearrange(bank, "b (t two) m -> b t (two m)", two=2)
        # Half a pair gives a frame, but no other frame attends to it.
        return self._transform(pairs.to(self._dtype), windows // 2)

    def _num_windows(self, lengths: Int[Tensor, " b"]) -> Int[Tensor, " b"]:
        """Windows of w2v-BERT's filter bank, two to a frame."""
        if self.config.padding != "none":
            return 2 * (lengths // HOP_LENGTH)
        return ((lengths - WINDOW) // (HOP_LENGTH // 2) + 1).clamp(min=0)

    def _pad(self, waveform: Float[Tensor, "b n"], missing: int) -> Float[Tensor, "b padded"]:
        before = {"both": missing // 2, "end": 0, "none": 0}[self.config.padding]
        after = 0 if self.config.padding == "none" else missing - before
        return F.pad(waveform, (before, after))

    def _transform(self, extracted: Tensor, frames: Tensor) -> list[Tensor]:
        projected = self.backbone.feature_projection(extracted)  # type: ignore[operator]
        hidden = projected[0] if isinstance(projected, tuple) else projected
        mask = length_mask(frames, hidden.shape[1])
        with _Recorder(self._blocks) as recorder:
            last = self.backbone.encoder(hidden, attention_mask=mask)[0]  # type: ignore[operator]
        outputs = recorder.outputs
        if self.layers[-1] == self.num_blocks:
            outputs[-1] = last
        return [outputs[layer - 1] for layer in self.layers]

    def _clean(
        self, waveform: Float[Tensor, "b n"], lengths: Int[Tensor, " b"] | None
    ) -> tuple[Float[Tensor, "b whole"], Int[Tensor, " b"]]:
        """Rows in float32, with silence for padding, and their lengths; cut to whole hops unless
        nothing is padded."""
        size = waveform.shape[1]
        least = WINDOW if self.config.padding == "none" else HOP_LENGTH
        if size < least:
            raise ValueError(f"waveform must have at least {least} samples, but has {size}")
        if lengths is None:
            lengths = torch.full((len(waveform),), size, device=waveform.device)
        lengths = lengths.to(waveform.device)
        if lengths.min() < 0 or lengths.max() > size:
            raise ValueError(f"lengths must be from 0 to {size}, but are {lengths.tolist()}")
        if self.config.padding != "none":
            size -= size % HOP_LENGTH
            lengths = lengths - lengths % HOP_LENGTH
        return waveform[:, :size].float().masked_fill(~length_mask(lengths, size), 0.0), lengths

    @property
    def _dtype(self) -> torch.dtype:
        return next(self.backbone.parameters()).dtype


class _Recorder:
    """Keeps what every block returns while the context is open."""

    def __init__(self, blocks: nn.ModuleList) -> None:
        self.outputs: list[Tensor] = []
        self._handles = [block.register_forward_hook(self._keep) for block in blocks]

    def _keep(self, block: nn.Module, inputs: Any, output: Any) -> None:
        self.outputs.append(output[0] if isinstance(output, tuple) else output)

    def __enter__(self) -> "_Recorder":
        return self

    def __exit__(self, *exception: object) -> None:
        for handle in self._handles:
            handle.remove()
