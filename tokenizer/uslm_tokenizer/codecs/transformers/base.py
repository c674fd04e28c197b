"""Codecs of the package transformers behind our interface: what all of them share."""

import json
import math
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from safetensors import SafetensorError
from torch import Tensor, nn

from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.errors import CheckpointError, ConfigError, UserError
from uslm_tokenizer.hub import CONFIG_FILE, check_finite, resolve
from uslm_tokenizer.transformers_package import network_shape, transformers_class

Codec = TypeVar("Codec", bound="TransformersCodec")


@dataclass(frozen=True, kw_only=True)
class TransformersCodecConfig:
    """Configuration of the network, and how much of it is used."""

    backbone: dict[str, object]
    """The transformers configuration as its `to_dict` gives it."""
    num_codebooks: int | None = None
    """Codebooks in use, from the first; None: all that the network has."""


class TransformersCodec(AudioTokenizer):
    """A network of transformers that was trained as a codec; for inference only.

    Loads what we saved, and just as well a folder or a repository in the layout of transformers.
    """

    config_class: ClassVar[type] = TransformersCodecConfig
    backbone_class: ClassVar[str]
    """Name of the network's class in transformers; its family there is our `model_type`."""
    config: TransformersCodecConfig

    def __init__(self, config: TransformersCodecConfig) -> None:
        super().__init__(config)
        self._assemble(self._build(config.backbone))

    @classmethod
    def from_pretrained(
        cls: type[Codec],
        name_or_path: str | Path,
        *,
        revision: str | None = None,
        local_files_only: bool = False,
    ) -> Codec:
        folder = resolve(name_or_path, revision=revision, local_files_only=local_files_only)
        family = transformers_family(folder)
        if family is None:
            return super().from_pretrained(folder)
        if family != cls.model_type:
            raise ConfigError(
                f"{folder} holds a {family!r} of transformers, not {cls.model_type!r}"
            )
        return cls._from_transformers(folder)

    @classmethod
    def from_backbone(cls: type[Codec], backbone: nn.Module) -> Codec:
        """Around a network of transformers, whose weights it shares."""
        codec = cls.__new__(cls)
        # Through JSON, so that the config equals the one that is saved and loaded again.
        plain = json.loads(json.dumps(network_shape(backbone.config)))
        AudioTokenizer.__init__(codec, TransformersCodecConfig(backbone=plain))
        codec._assemble(backbone)
        return codec.eval()

    @classmethod
    def _from_transformers(cls: type[Codec], folder: Path) -> Codec:
        build = transformers_class(cls.backbone_class, "this codec needs")
        try:
            with _quiet():
                backbone, found = build.from_pretrained(
                    folder, local_files_only=True, output_loading_info=True
                )
        except (OSError, RuntimeError, ValueError, SafetensorError) as problem:
            reason = str(problem).strip().splitlines()[0]
            raise CheckpointError(
                f"{folder} is not a readable {cls.model_type}: {reason}"
            ) from problem
        for what in ("missing_keys", "mismatched_keys"):
            if found[what]:
                names = sorted(map(str, found[what]))
                raise CheckpointError(
                    f"{folder} does not fit its config: {what.replace('_', ' ')} {names[:3]}"
                )
        for name, tensor in backbone.state_dict().items():
            check_finite(folder, name, tensor)
        return cls.from_backbone(backbone.float())

    @classmethod
    def _build(cls, data: dict[str, object]) -> nn.Module:
        """A network with random weights, and random codebooks where transformers leaves zeros."""
        options = {key: value for key, value in data.items() if key != "model_type"}
        build = transformers_class(cls.backbone_class, "this codec needs")
        try:
            backbone: nn.Module = build(build.config_class(**options))
        except Exception as problem:  # the packages' own errors of many kinds, all for one reason
            reason = " ".join(str(problem).split())
            raise ConfigError(
                f"backbone does not describe a {cls.model_type}: {reason}"
            ) from problem
        for name, buffer in backbone.named_buffers():
            if name.endswith((".embed", ".embed_sum")):
                nn.init.normal_(buffer, std=0.1)
        return backbone

    def _assemble(self, backbone: nn.Module) -> None:
        self.backbone: Any = backbone
        self.requires_grad_(False)
        if self.config.num_codebooks is not None:
            self.use_codebooks(self.config.num_codebooks)

    # What most networks call so; the others say it in words of their own.

    @property
    def sample_rate(self) -> int:
        return int(self.backbone.config.sampling_rate)

    @property
    def hop_length(self) -> int:
        return int(self.backbone.config.hop_length)

    @property
    def num_codebooks(self) -> int:
        return self.config.num_codebooks or self.max_codebooks

    @property
    def max_codebooks(self) -> int:
        """Codebooks that the network has."""
        return int(self.backbone.config.num_quantizers)

    @property
    def codebook_size(self) -> int:
        return int(self.backbone.config.codebook_size)

    @property
    def bandwidth(self) -> float:
        """Bit rate of the codes in use, kbit/s."""
        return self.num_codebooks * self._bandwidth_of_one

    @property
    def _bandwidth_of_one(self) -> float:
        return math.log2(self.codebook_size) * self.frame_rate / 1000

    def use_codebooks(self, count: int) -> None:
        if not 1 <= count <= self.max_codebooks:
            raise UserError(
                f"the number of codebooks must be from 1 to {self.max_codebooks}, but is {count}"
            )
        self.config = replace(self.config, num_codebooks=count)

    def use_bandwidth(self, bandwidth: float) -> None:
        """Use as many codebooks as fit in `bandwidth`, kbit/s."""
        count = math.floor(bandwidth / self._bandwidth_of_one + 1e-6)
        if count < 1:
            raise UserError(
                f"the bandwidth must be at least {self._bandwidth_of_one:g} kbit/s, one codebook, "
                f"but is {bandwidth:g}"
            )
        self.use_codebooks(min(count, self.max_codebooks))

    @torch.no_grad()
    def encode(
        self, waveform: Float[Tensor, "b 1 n"], lengths: Int[Tensor, " b"] | None = None
    ) -> Int[Tensor, "b k t"]:
        self.check_waveform(waveform)
        return self.encode_by_length(waveform.to(self.dtype), lengths, self._encode)

    @torch.no_grad()
    def decode(self, codes: Int[Tensor, "b k t"]) -> Float[Tensor, "b 1 n"]:
        self.check_codes(codes)
        waveform = self._decode(codes)
        return F.pad(waveform, (0, codes.shape[-1] * self.hop_length - waveform.shape[-1]))

    @abstractmethod
    def _encode(self, waveform: Float[Tensor, "b 1 n"]) -> Int[Tensor, "b k t"]:
        """Codes of rows that have no padding."""

    def _decode(self, codes: Int[Tensor, "b k t"]) -> Float[Tensor, "b 1 n"]:
        """The waveform; where it has a few samples less than t * hop_length, zeros follow."""
        waveform: Tensor = self.backbone.decode(codes).audio_values
        return waveform

    def _whole_frames(self, waveform: Float[Tensor, "b 1 n"]) -> Float[Tensor, "b 1 m"]:
        """With zeros up to the next whole frame."""
        return F.pad(waveform, (0, -waveform.shape[-1] % self.hop_length))


def transformers_family(folder: Path) -> str | None:
    """The `model_type` of a config.json in the layout of transformers; None if it is not one."""
    try:
        found = json.loads((folder / CONFIG_FILE).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None  # whoever reads it next says what is wrong
    if not isinstance(found, dict) or "config" in found or "model_type" not in found:
        return None
    return str(found["model_type"])


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' progress bars and reports: what matters of them becomes an error."""
    import transformers

    logging: Any = transformers.utils.logging
    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
