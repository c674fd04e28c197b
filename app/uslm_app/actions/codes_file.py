"""Codes on disk: one safetensors file with what is needed to hear them again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from uslm_app.cli.outputs import write_file
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.errors import ConfigError, UserError

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class CodesInfo:
    """What the codes are of, and who can decode them."""

    tokenizer: str
    """Kind of tokenizer, as its config.json names it."""
    tokenizer_hash: str
    """Tells its weights from others'."""
    sample_rate: int
    """Samples a second of the waveform, Hz."""
    frame_rate: float
    """Frames of codes a second, Hz."""
    codebook_size: int
    """Codes lie in [0, codebook_size)."""
    num_samples: int
    """Length of the recording; the last frame reaches a little beyond."""
    source: str
    """Name of the recording."""


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
                facts: dict[str, Any] = json.loads((file.metadata() or {})["codes"])
                codes = file.get_tensor("codes").long()
            if (version := facts.pop("format")) > FORMAT:
                raise ConfigError(
                    f"{path!r} has format {version}, but this version reads up to {FORMAT}"
                )
            return CodesFile(codes, CodesInfo(**facts))
        except (SafetensorError, KeyError, TypeError, json.JSONDecodeError, OSError) as problem:
            raise ConfigError(
                f"{path!r} is not a codes file (written by `uslm encode`): {problem}"
            ) from problem

    def fit(self, tokenizer: AudioTokenizer) -> None:
        """Set the tokenizer to as many codebooks as there are here.

        Raises ConfigError if it is not the one that made the codes, UserError if it cannot decode
        them.
        """
        wanted, found = self.info.tokenizer_hash, fingerprint(tokenizer)
        if wanted != found:
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


def fingerprint(tokenizer: AudioTokenizer) -> str:
    """16 hex digits from some values of every tensor: other training moves them all."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tokenizer.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten()[:64].double().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
