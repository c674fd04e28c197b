"""Codes on disk: one safetensors file with what is needed to hear them again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import torch
from jaxtyping import Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from uslm_app.cli.outputs import write_file
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.config import from_dict
from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.weight_hash import earlier_hash_of_codes, weight_hash

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class CodesInfo:
    """Origin of the codes, and the tokenizer that can decode them."""

    tokenizer: str
    """Kind of tokenizer, as its config.json names it."""
    tokenizer_hash: str
    """Tells its weights from others'."""
    sample_rate: int
    """Samples per second of the waveform, Hz."""
    frame_rate: float
    """Frames of codes per second, Hz."""
    codebook_size: int
    """Codes lie in [0, codebook_size)."""
    num_samples: int
    """Length of the recording; the last frame reaches a little beyond."""
    source: str
    """Name of the recording."""

    def check(self) -> None:
        """Raise ConfigError where a value cannot be."""
        for name in ("sample_rate", "frame_rate", "codebook_size", "num_samples"):
            if not 0 < (value := getattr(self, name)) < 2**63:
                raise ConfigError(f"{name} must be above 0, but is {value}")


@dataclass(frozen=True, eq=False)
class CodesFile:
    """Codes [codebooks, frames] and what they are."""

    codes: Int[Tensor, "k t"]
    info: CodesInfo

    def save(self, path: str, *, force: bool) -> None:
        """Write the file, whole or not at all."""
        metadata = {"codes": json.dumps({"format": FORMAT, **asdict(self.info)})}
        tensors = {"codes": self.codes.to(torch.int32).contiguous()}
        write_file(path, save(tensors, metadata), force=force)

    @staticmethod
    def load(path: str) -> CodesFile:
        """Read what `save` wrote; raises ConfigError if it is something else."""
        try:
            with safe_open(path, "pt") as file:
                facts = json.loads((file.metadata() or {})["codes"])
                codes = file.get_tensor("codes")
            version = facts.pop("format") if isinstance(facts, dict) else None
            if type(version) is not int or version < 1:
                raise ConfigError("it does not say which format it has")
            if version > FORMAT:
                raise ConfigError(
                    f"it has format {version}, but this version reads up to {FORMAT}; upgrade uslm"
                )
            info = from_dict(CodesInfo, facts, where="codes")
            info.check()
            _check_codes(codes)
        # ValueError: ConfigError, and text that is no UTF-8 or has a number of 5,000 digits.
        except (SafetensorError, KeyError, ValueError, RecursionError, OSError) as problem:
            raise ConfigError(
                f"{path!r} is not a codes file (written by `uslm encode`): {problem}"
            ) from problem
        return CodesFile(codes.long(), info)

    def fit(self, tokenizer: AudioTokenizer) -> None:
        """Set the tokenizer to as many codebooks as there are here.

        Raises ConfigError if it is not the one that made the codes, UserError if it cannot decode
        them.
        """
        wanted, found = self.info.tokenizer_hash, weight_hash(tokenizer=tokenizer)
        if wanted not in (found, earlier_hash_of_codes(tokenizer)):
            raise ConfigError(
                f"the codes were made by another tokenizer ({self.info.tokenizer}, {wanted}) "
                f"than the one loaded ({tokenizer.model_type}, {found}); name it: --tokenizer"
            )
        if not tokenizer.can_decode:
            raise UserError(
                f"codes of a {tokenizer.model_type} say what is spoken, not how it sounds: "
                "it cannot decode them"
            )
        tokenizer.use_codebooks(self.codes.shape[0])
        tokenizer.check_codes(self.codes[None])


def _check_codes(codes: Tensor) -> None:
    kind = f"{str(codes.dtype).removeprefix('torch.')} {list(codes.shape)}"
    if codes.is_floating_point() or codes.is_complex() or codes.dtype == torch.bool:
        raise ConfigError(f"codes must be whole numbers, but are {kind}")
    if codes.ndim != 2 or not codes.numel():
        raise ConfigError(f"codes must be [codebooks, frames], at least one, but are {kind}")
