"""A voice to speak with: the codes of a short recording, and what is said in it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from uslm.voices.policy import Finding
from uslm_tokenizer.config import from_dict, to_dict
from uslm_tokenizer.errors import AlreadyThere, ConfigError, MissingResource, UserError
from uslm_tokenizer.renames import current_keys
from uslm_tokenizer.whole_files import write_atomically

FORMAT = 4
"""1 had no speaker vector, origin, licence, consent, model hash and extras; in 2 the vector was
called `speaker`; 3 had no latents, and a voice without them is still written so. All are read."""
EXTRA = "extras."
"""What the names of extra tensors begin with in the file."""
TENSORS = ("codes", "latents", "text_ids", "speaker_embedding", "extras")

REPEATED = ("name", "model", "model_hash", "speaker_model", "tokenizer_hash")
"""Words of a voice that messages repeat ..."""
MAX_REPEATED_CHARS = 200
"""... and which are no longer than that."""

WHOLE_NUMBERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


@dataclass(frozen=True, kw_only=True)
class PromptConfig:
    """Limits of the part of a voice that is used, and of doubt in its transcript."""

    semantic_frames: int = 225
    """Frames that stage 1 goes on from, at most."""
    acoustic_frames: int = 225
    """Frames that stage 2 sees, at most."""
    max_mismatch: float = 0.6
    """Phoneme error rate of the transcript, against what is recognised, beyond which it is
    doubted."""

    def __post_init__(self) -> None:
        if self.semantic_frames < 1 or self.acoustic_frames < 1:
            raise ConfigError(f"semantic_frames and acoustic_frames must be 1 or more: {self}")

    @property
    def max_frames(self) -> int:
        """A longer recording is cut, at a pause if there is one."""
        return max(self.semantic_frames, self.acoustic_frames)


@dataclass(frozen=True, kw_only=True)
class VoiceOrigin:
    """Origin of a voice."""

    recording: str = ""
    """Name of the recording."""
    made_at: str = ""
    """When it was made, UTC."""
    made_with: str = ""
    """The program and its version."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class VoicePrompt:
    """A reference recording, ready to be spoken with; made by `ZeroShotTTS.create_voice`."""

    name: str
    """What the voice is called."""
    codes: Int[Tensor, "k p"]
    """All codes of the recording; codebook 0 are its units. [0, p] of a system without codes."""
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
    model_hash: str = ""
    """Tells that model's weights from others'; a voice serves every model of its tokenizer."""
    findings: tuple[Finding, ...] = ()
    """What was noticed about the recording."""
    speaker_embedding: Float[Tensor, " e"] | None = None
    """A vector that stands for the voice."""
    speaker_model: str = ""
    """What `speaker_embedding` was made with; only vectors of one model can be compared."""
    licence: str | None = None
    """Under which licence the recording, and so the voice, may be used."""
    consent: str | None = None
    """Who agreed to the use of the voice, and to what."""
    origin: VoiceOrigin = field(default_factory=VoiceOrigin)
    """Where it came from."""
    latents: Float[Tensor, "d p"] | None = None
    """The recording for a system that speaks in vectors."""
    extras: Mapping[str, Tensor] = field(default_factory=dict)
    """What a system needs beside codes: a mel spectrogram, units of another rate."""

    @property
    def units(self) -> Int[Tensor, " p"]:
        """The units that `text_ids` say."""
        return self.codes[0, : self.num_spoken_frames]

    def __repr__(self) -> str:
        frames = self.codes.shape[1]
        return f"VoicePrompt({self.name!r}, {self.seconds:.1f} s, {frames} frames, {self.model!r})"

    def save(self, path: str | Path, force: bool = False, *, overwrite: bool = False) -> Path:
        """Write one safetensors file, whole or not at all; replaces only with `overwrite` (or
        `force`, the same)."""
        path, force = Path(path), force or overwrite
        if path.exists() and not force:
            raise _exists(path)
        if not path.parent.is_dir():
            raise MissingResource(f"there is no folder {str(path.parent)!r}")
        tensors = {
            "codes": _smallest(self.codes),
            "text_ids": self.text_ids.to(torch.int32),
            **{EXTRA + name: tensor for name, tensor in self.extras.items()},
        }
        for name in ("speaker_embedding", "latents"):
            if (vectors := getattr(self, name)) is not None:
                tensors[name] = vectors.float()
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        version = 3 if self.latents is None else FORMAT
        metadata = {"voice": json.dumps({"format": version, **self.facts()}, ensure_ascii=False)}
        try:
            write_atomically(
                path, lambda part: save_file(tensors, part, metadata=metadata), replace=force
            )
        except FileExistsError:  # it came into being meanwhile
            raise _exists(path) from None
        except OSError as problem:
            reason = problem.strerror or problem
            raise UserError(f"voice {str(path)!r} could not be written: {reason}") from problem
        return path

    def facts(self) -> dict[str, Any]:
        """All but the tensors, as JSON values."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in TENSORS}
        origin, findings = to_dict(self.origin), [to_dict(finding) for finding in self.findings]
        return {**values, "origin": origin, "findings": findings}

    @classmethod
    def load(cls, path: str | Path) -> "VoicePrompt":
        """Read what `save` wrote; MissingResource or ConfigError where there is none.

        The file need not be trusted: it holds numbers and words, and each is checked.
        """
        path = Path(path)
        if not path.is_file():
            raise MissingResource(f"there is no voice file {str(path)!r}")
        try:
            with safe_open(path, "pt") as file:
                facts = _read_facts((file.metadata() or {})["voice"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            voice = from_dict(cls, facts | _sorted_out(tensors), where="voice")
            voice._check()
        except (SafetensorError, KeyError, ValueError, RecursionError, OSError) as problem:
            raise ConfigError(
                f"{str(path)!r} is not a voice file (written by VoicePrompt.save or "
                f"`uslm voice create`): {problem}"
            ) from problem
        return voice

    def _check(self) -> None:
        """Raise ConfigError where a value cannot be."""
        frames = self.codes.shape[1]
        if not frames or not 0 <= self.num_spoken_frames <= frames:
            raise ConfigError(f"{self.num_spoken_frames} of {frames} frames cannot be spoken")
        json.dumps(self.facts(), ensure_ascii=False).encode()  # half a character: UnicodeError
        for field_name in REPEATED:
            length, limit = len(getattr(self, field_name)), MAX_REPEATED_CHARS
            if length > limit:
                raise ConfigError(
                    f"{field_name} must have at most {limit} characters, not {length:,}"
                )
        if not self.name or not self.name.isprintable():
            raise ConfigError(f"name must be printable, but is {self.name!r}")
        if not 0 < self.seconds < float("inf"):
            raise ConfigError(f"seconds must be above 0, but is {self.seconds}")
        if self.latents is not None and self.latents.shape[1] != frames:
            raise ConfigError(f"latents must be of {frames} frames, as its codes are")
        for tensor in (self.speaker_embedding, self.latents, *self.extras.values()):
            if tensor is not None and not bool(tensor.isfinite().all()):
                raise ConfigError("its numbers must be finite")

    def check_fits(self, tokenizer_hash: str, model: str, *, or_earlier: str = "") -> None:
        """Raise ConfigError if the voice was made for another model's codes."""
        if self.tokenizer_hash not in (tokenizer_hash, or_earlier):
            raise ConfigError(
                f"voice {self.name!r} was made with the tokenizer of model {self.model!r} "
                f"({self.tokenizer_hash}), not of {model!r} ({tokenizer_hash}); "
                "create it again from its recording"
            )

    def check_readable(self, num_symbols: int, model: str, *, min_symbols: int = 0) -> None:
        """Raise ConfigError unless its text is at least so many of a model's symbols."""
        ids = self.text_ids.tolist()
        if len(ids) < min_symbols or not all(0 <= place < num_symbols for place in ids):
            raise ConfigError(
                f"voice {self.name!r} holds text that model {model!r} cannot read; "
                "create it again from its recording"
            )


NO_VOICE = VoicePrompt(
    name="",
    codes=torch.zeros(0, 0, dtype=torch.long),
    text_ids=torch.zeros(0, dtype=torch.long),
    num_spoken_frames=0,
    phonemes="",
    transcript=None,
    seconds=0.0,
    tokenizer_hash="",
    model="",
)
"""What a model is given that is not told whose voice."""


def _exists(path: Path) -> AlreadyThere:
    return AlreadyThere(f"{str(path)!r} exists; give force=True (--force) to replace it")


def _smallest(codes: Int[Tensor, "k p"]) -> Int[Tensor, "k p"]:
    """In 16 bits where they fit."""
    fits = not codes.numel() or int(codes.max()) <= torch.iinfo(torch.int16).max
    return codes.to(torch.int16 if fits else torch.int32)


def _read_facts(text: str) -> dict[str, Any]:
    facts = json.loads(text)
    if not isinstance(facts, dict) or not isinstance(version := facts.pop("format", None), int):
        raise ConfigError("it does not say which format it has")
    if version > FORMAT:
        raise ConfigError(
            f"the voice has format {version}, this version reads up to {FORMAT}; upgrade uslm"
        )
    if wrong := facts.keys() & set(TENSORS):
        raise ConfigError(f"{sorted(wrong)} must be tensors")
    return facts


def _sorted_out(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """The tensors of a file by the names of the fields. Raises ConfigError for odd ones."""
    found: dict[str, Any] = {"extras": {}}
    for name, tensor in current_keys("VoicePrompt", tensors).items():
        if name.startswith(EXTRA):
            found["extras"][name.removeprefix(EXTRA)] = tensor
        else:
            is_whole = name in ("codes", "text_ids") and tensor.dtype in WHOLE_NUMBERS
            found[name] = tensor.long() if is_whole else tensor
    for name, value, kind, dims in (
        ("codes", found.get("codes"), "int64", 2),
        ("text_ids", found.get("text_ids"), "int64", 1),
        ("speaker_embedding", found.get("speaker_embedding"), "float32", 1),
        ("latents", found.get("latents"), "float32", 2),
    ):
        if value is not None and (str(value.dtype) != f"torch.{kind}" or value.ndim != dims):
            was = f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
            raise ConfigError(f"{name} must be {kind} of {dims} dimensions, but is {was}")
    if wrong := [name for name, tensor in found["extras"].items() if tensor.is_complex()]:
        raise ConfigError(f"extras must not be complex numbers: {wrong[:3]}")
    return found
