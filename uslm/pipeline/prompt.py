"""A voice to speak with: the codes of a short recording, and what is said in it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from uslm.pipeline.prompt_policy import Finding
from uslm_tokenizer.errors import ConfigError, MissingResource, UserError
from uslm_tokenizer.hub import write_atomically

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class PromptConfig:
    """How much of a voice is used, and when its transcript is doubted."""

    semantic_frames: int = 225
    """Frames that stage 1 goes on from, at most."""
    acoustic_frames: int = 225
    """Frames that stage 2 hears, at most."""
    max_mismatch: float = 0.6
    """Phoneme error rate of the transcript, against what is heard, beyond which it is doubted."""

    def __post_init__(self) -> None:
        if self.semantic_frames < 1 or self.acoustic_frames < 1:
            raise ConfigError(f"semantic_frames and acoustic_frames must be 1 or more: {self}")

    @property
    def max_frames(self) -> int:
        """A longer recording is cut, at a pause if there is one."""
        return max(self.semantic_frames, self.acoustic_frames)


@dataclass(frozen=True, kw_only=True, eq=False)
class VoicePrompt:
    """A reference recording, ready to be spoken with; made by `ZeroShotTTS.create_voice`."""

    name: str
    """What the voice is called."""
    codes: Int[Tensor, "k p"]
    """All codes of the recording; level 0 are its units."""
    text_ids: Int[Tensor, " s"]
    """What stage 1 reads for the first `num_spoken_frames` of it."""
    num_spoken_frames: int
    """Frames that `text_ids` belong to."""
    phonemes: str
    """The phonemes of `text_ids`."""
    transcript: str | None
    """What is said in it, where somebody said so; else the phonemes were recognised."""
    seconds: float
    """Length of the recording that was used."""
    tokenizer_hash: str
    """The tokenizer that the codes belong to."""
    model: str
    """Name of the model that made the voice."""
    findings: tuple[Finding, ...] = ()
    """What was noticed about the recording."""

    @property
    def units(self) -> Int[Tensor, " p"]:
        """The units that `text_ids` say."""
        return self.codes[0, : self.num_spoken_frames]

    def save(self, path: str | Path, force: bool = False) -> Path:
        """Write one safetensors file, whole or not at all; replaces only with `force`."""
        path = Path(path)
        if path.exists() and not force:
            raise UserError(f"{str(path)!r} exists; give force=True (--force) to replace it")
        if not path.parent.is_dir():
            raise MissingResource(f"there is no folder {str(path.parent)!r}")
        tensors = {
            "codes": self.codes.to(torch.int16).contiguous(),
            "text_ids": self.text_ids.to(torch.int32).contiguous(),
        }
        metadata = {"voice": json.dumps({"format": FORMAT, **self._facts()}, ensure_ascii=False)}
        try:
            write_atomically(path, lambda part: save_file(tensors, part, metadata=metadata))
        except OSError as problem:
            reason = problem.strerror or problem
            raise UserError(f"voice {str(path)!r} could not be written: {reason}") from problem
        return path

    def _facts(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "num_spoken_frames": self.num_spoken_frames,
            "phonemes": self.phonemes,
            "transcript": self.transcript,
            "seconds": self.seconds,
            "tokenizer_hash": self.tokenizer_hash,
            "model": self.model,
            "findings": [asdict(finding) for finding in self.findings],
        }

    @classmethod
    def load(cls, path: str | Path) -> "VoicePrompt":
        """Read what `save` wrote; MissingResource or ConfigError where there is none."""
        path = Path(path)
        if not path.is_file():
            raise MissingResource(f"there is no voice file {str(path)!r}")
        try:
            with safe_open(path, "pt") as file:
                facts = json.loads((file.metadata() or {})["voice"])
                codes = file.get_tensor("codes").long()
                text_ids = file.get_tensor("text_ids").long()
            return cls._from_facts(facts, codes, text_ids)
        except (SafetensorError, KeyError, TypeError, ValueError, OSError) as problem:
            if isinstance(problem, UserError):
                raise
            raise ConfigError(
                f"{str(path)!r} is not a voice file (written by VoicePrompt.save or "
                f"`uslm voice create`): {problem}"
            ) from problem

    @classmethod
    def _from_facts(
        cls, facts: Mapping[str, Any], codes: Int[Tensor, "k p"], text_ids: Int[Tensor, " s"]
    ) -> "VoicePrompt":
        facts = dict(facts)
        if (version := facts.pop("format")) > FORMAT:
            raise ConfigError(f"the voice has format {version}, this version reads up to {FORMAT}")
        findings = tuple(Finding(**finding) for finding in facts.pop("findings"))
        return cls(codes=codes, text_ids=text_ids, findings=findings, **facts)

    def check_fits(self, tokenizer_hash: str, model: str) -> None:
        """Raise ConfigError if the voice was made for another model's codes."""
        if self.tokenizer_hash != tokenizer_hash:
            raise ConfigError(
                f"voice {self.name!r} was made with the tokenizer of model {self.model!r} "
                f"({self.tokenizer_hash}), not of {model!r} ({tokenizer_hash}); "
                "create it again from its recording"
            )
