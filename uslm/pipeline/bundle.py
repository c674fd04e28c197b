"""A model that speaks, in one folder: the tokenizer, both stages, and how to use them.

    bundle.json    name, language, front end, sampling, limits
    tokenizer/     an acoustic tokenizer (config.json, model.safetensors)
    semantic/      stage 1
    acoustic/      stage 2
    README.md      the model card

Each part can also be loaded on its own.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Literal, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from uslm.generate.levels import fill_levels
from uslm.generate.sampling import Sampling
from uslm.models.base import AcousticModel, AcousticRow, SemanticModel
from uslm.models.registry import load_model
from uslm.pipeline.blocks import BlockSchedule
from uslm.pipeline.long_text import JoinConfig
from uslm.pipeline.plan import PlanConfig
from uslm.pipeline.prompt import PromptConfig, VoicePrompt
from uslm.pipeline.verification import VerifyConfig
from uslm.text.frontend import FrontendResult, TextFrontend
from uslm.text.lexicon import Lexicon
from uslm.text.vocab import PhonemeVocab, SentencePieceVocab, TextVocab
from uslm_tokenizer.acoustic.unit_codec import UnitCodec
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.config import from_dict, to_dict
from uslm_tokenizer.errors import ConfigError, EnvironmentProblem, MissingResource, UserError
from uslm_tokenizer.hub import write_atomically
from uslm_tokenizer.registry import load_tokenizer

FORMAT = 1
BUNDLE_FILE = "bundle.json"
VOCAB_FILE = "text.model"
PARTS = ("tokenizer", "semantic", "acoustic")
DEFAULT = "default"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, kw_only=True)
class FrontendConfig:
    """From text to what stage 1 reads."""

    vocab: Literal["phonemes", "sentencepiece"] = "phonemes"
    """`phonemes`: espeak's symbols; `sentencepiece`: pieces of text, from `text.model`."""
    normalize: bool = True
    """Whether numbers, dates and the like become words first (English)."""


@dataclass(frozen=True, kw_only=True)
class LengthConfig:
    """How long speech may be for its text; a symbol lasts about 3.4 frames."""

    min_frames_per_symbol: float = 1.2
    """Stage 1 may not end before."""
    max_frames_per_symbol: float = 8.0
    """Stage 1 is stopped there, and `margin_frames` later."""
    margin_frames: int = 50
    """Frames beyond, for the silence at both ends."""

    def __post_init__(self) -> None:
        if not 0 <= self.min_frames_per_symbol <= self.max_frames_per_symbol:
            raise ConfigError(f"0 <= min_frames_per_symbol <= max_frames_per_symbol: {self}")
        if self.margin_frames < 1:
            raise ConfigError(f"margin_frames must be 1 or more, but is {self.margin_frames}")


@dataclass(frozen=True, kw_only=True)
class BundleConfig:
    """What bundle.json holds beside its format."""

    name: str
    """What the model is called."""
    language: str = "en-us"
    """Language of its texts, as espeak calls it."""
    frontend: FrontendConfig = field(default_factory=FrontendConfig)
    """Text to symbols."""
    sampling: Sampling = field(default_factory=Sampling)
    """How stage 1 draws, unless the caller says otherwise."""
    acoustic_temperature: float = 0.0
    """How stage 2 draws; 0 takes the likeliest code."""
    expected_input: bool = False
    """Whether stage 2 takes the codes that come nearest to what it expects the decoder to hear,
    rather than the likeliest ones; for a model that was trained so."""
    use_prompt_units: bool = True
    """Whether stage 1 goes on from the prompt's phonemes and units; stage 2 always hears it."""
    batch_size: int = 4
    """Pieces of a long text that stage 1 speaks side by side."""
    length: LengthConfig = field(default_factory=LengthConfig)
    """Limits of stage 1."""
    prompt: PromptConfig = field(default_factory=PromptConfig)
    """How much of a voice is used."""
    blocks: BlockSchedule = field(default_factory=BlockSchedule)
    """How stage 2 is cut for streaming."""
    plan: PlanConfig = field(default_factory=PlanConfig)
    """How a text is cut."""
    join: JoinConfig = field(default_factory=JoinConfig)
    """How its pieces are joined."""
    verify: VerifyConfig = field(default_factory=VerifyConfig)
    """When a piece counts as badly spoken."""

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ConfigError(f"batch_size must be 1 or more, but is {self.batch_size}")
        if not self.acoustic_temperature >= 0:
            raise ConfigError(
                f"acoustic_temperature must be 0 or more, but is {self.acoustic_temperature}"
            )


@dataclass(frozen=True, eq=False)
class Bundle:
    """A loaded model: read only, and shared by all threads."""

    config: BundleConfig
    tokenizer: AudioTokenizer
    semantic: SemanticModel
    acoustic: AcousticModel
    vocab: TextVocab = field(default_factory=PhonemeVocab)
    folder: Path | None = None
    """Where it was loaded from."""
    hash: str = field(init=False)
    """Tells these weights from any others."""
    tokenizer_hash: str = field(init=False)
    """The same of the tokenizer alone; a voice is made of its codes."""
    _vectors: Float[Tensor, "levels v e"] | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Raise ConfigError unless the parts speak the same codes."""
        codebooks, stage2 = self.tokenizer.num_codebooks, self.acoustic.num_codebooks
        if codebooks != stage2:
            raise ConfigError(
                f"the tokenizer has {codebooks} codebooks, but stage 2 was made for {stage2}"
            )
        size, stage1 = self.tokenizer.codebook_size, self.semantic.codebook_size
        if size != stage1:
            raise ConfigError(f"the tokenizer has {size} units, but stage 1 was made for {stage1}")
        # Before any change of precision, so that a voice fits whichever precision is used.
        tokenizer_hash = _hash(tokenizer=self.tokenizer)
        whole = _hash(tokenizer=self.tokenizer, semantic=self.semantic, acoustic=self.acoustic)
        object.__setattr__(self, "tokenizer_hash", tokenizer_hash)
        object.__setattr__(self, "hash", whole)
        object.__setattr__(self, "_vectors", self._level_vectors())

    def fill(
        self, rows: Sequence[AcousticRow], generators: Sequence[torch.Generator]
    ) -> list[Int[Tensor, "k _"]]:
        """Let stage 2 fill the levels of some rows, the way the model is meant to."""
        return fill_levels(
            self.acoustic,
            rows,
            temperature=self.config.acoustic_temperature,
            generators=generators,
            vectors=self._vectors,
        )

    def _level_vectors(self) -> Float[Tensor, "levels v e"] | None:
        if not self.config.expected_input:
            return None
        if not isinstance(self.tokenizer, UnitCodec):
            raise ConfigError(
                f"expected_input needs a unit codec, but the tokenizer is a "
                f"{self.tokenizer.model_type!r}"
            )
        return self.tokenizer.level_vectors()

    def frontend(
        self, *, language: str | None = None, lexicon: Lexicon | None = None
    ) -> TextFrontend:
        """The front end for a language, the model's own unless given."""
        return TextFrontend(
            language=language or self.config.language,
            vocab=self.vocab,
            lexicon=lexicon,
            normalize=self.config.frontend.normalize,
        )

    def check_voice(self, voice: VoicePrompt) -> None:
        """Raise ConfigError if the voice was made for other codes, UserError if it is damaged."""
        voice.check_fits(self.tokenizer_hash, self.config.name)
        self.tokenizer.check_codes(voice.codes[None])
        if len(voice.text_ids) and not 0 <= int(voice.text_ids.max()) < self.vocab.size:
            raise ConfigError(
                f"voice {voice.name!r} holds text that model {self.config.name!r} "
                "cannot read; create it again from its recording"
            )

    def phoneme_ids(self, text: FrontendResult) -> list[int]:
        """The phonemes of a text, in the ids that the recogniser speaks."""
        if self.vocab.reads == "phonemes":
            return list(text.text_ids)
        return list(TextFrontend(language=self.config.language)(text.text).text_ids)

    def to(self, device: str | torch.device = "cpu", dtype: Any = None) -> "Bundle":
        """Move the parts; `dtype` (or its name) is the precision of both stages.

        The tokenizer stays in float32: it is small, and codes must not depend on the precision.
        """
        try:
            target = torch.device(device)
            for part in (self.tokenizer, self.semantic, self.acoustic):
                part.to(target)
            if self._vectors is not None:
                object.__setattr__(self, "_vectors", self._vectors.to(target))
        except (RuntimeError, AssertionError) as problem:
            reason = str(problem).strip().splitlines()[0]
            raise EnvironmentProblem(f"cannot use device {str(device)!r}: {reason}") from problem
        if dtype is not None:
            self.semantic.to(_dtype(dtype))
            self.acoustic.to(_dtype(dtype))
        return self


def load_bundle(
    name_or_path: str | PathLike[str] = DEFAULT,
    *,
    revision: str | None = None,
    local_files_only: bool = False,
) -> Bundle:
    """A model by folder, by Hub repository, or the one that comes with the package (`default`)."""
    folder = resolve_bundle(name_or_path, revision=revision, local_files_only=local_files_only)
    config = read_bundle_config(folder)
    vocab: TextVocab = PhonemeVocab()
    if config.frontend.vocab == "sentencepiece":
        vocab = SentencePieceVocab.load(folder / VOCAB_FILE)
    semantic, acoustic = load_model(folder / "semantic"), load_model(folder / "acoustic")
    if not isinstance(semantic, SemanticModel) or not isinstance(acoustic, AcousticModel):
        raise ConfigError(
            f"{folder}: 'semantic' must hold a first stage and 'acoustic' a second, but they hold "
            f"{semantic.model_type!r} and {acoustic.model_type!r}"
        )
    return Bundle(
        config=config,
        tokenizer=load_tokenizer(folder / "tokenizer"),
        semantic=semantic,
        acoustic=acoustic,
        vocab=vocab,
        folder=folder,
    )


def save_bundle(
    bundle: Bundle, folder: str | PathLike[str], *, dtype: torch.dtype | None = None, card: str = ""
) -> Path:
    """Write the folder; `dtype` stores the weights in that precision. bundle.json comes last."""
    folder = Path(folder)
    for part in PARTS:
        getattr(bundle, part).save_pretrained(folder / part, dtype=dtype)
    if isinstance(bundle.vocab, SentencePieceVocab):
        bundle.vocab.save(folder / VOCAB_FILE)
    card = card or f"# {bundle.config.name}\n"
    write_atomically(folder / "README.md", lambda path: path.write_text(card, "utf-8"))
    description = {"format": FORMAT, **to_dict(bundle.config)}
    text = json.dumps(description, indent=2, ensure_ascii=False) + "\n"
    write_atomically(folder / BUNDLE_FILE, lambda path: path.write_text(text, "utf-8"))
    return folder


def read_bundle_config(folder: Path) -> BundleConfig:
    """What bundle.json says, without loading any weights."""
    path = folder / BUNDLE_FILE
    if not path.is_file():
        raise MissingResource(f"{folder} holds no {BUNDLE_FILE}; it is not a speaking model")
    try:
        description = json.loads(path.read_text("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as problem:
        raise ConfigError(f"{path} is not JSON: {problem}") from problem
    if not isinstance(description, dict):
        raise ConfigError(f"{path} must hold a mapping")
    version = description.pop("format", None)
    if not isinstance(version, int) or version > FORMAT:
        raise ConfigError(
            f"{path} has format {version}, this version reads up to {FORMAT}; upgrade uslm"
        )
    try:
        return from_dict(BundleConfig, description)
    except UserError as problem:
        raise ConfigError(f"{path}: {problem}") from problem


def resolve_bundle(
    name_or_path: str | PathLike[str],
    *,
    revision: str | None = None,
    local_files_only: bool = False,
) -> Path:
    """The folder of a model; a Hub repository is downloaded, or taken from the cache."""
    name = str(name_or_path)
    folder = Path(name_or_path)
    if name == DEFAULT:
        folder = Path(__file__).parent.parent / "assets" / DEFAULT
        if not (folder / BUNDLE_FILE).is_file():
            raise MissingResource(
                f"this installation came without the default model (no {folder}); "
                "name the folder or the Hub repository of another"
            )
        return folder
    if folder.is_dir():
        return folder
    if folder.exists() or name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise MissingResource(f"there is no model folder {name!r}, nor is it 'default'")
    return _download(name, revision=revision, local_files_only=local_files_only)


def _download(repo_id: str, *, revision: str | None, local_files_only: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    patterns = [BUNDLE_FILE, VOCAB_FILE, "README.md"]
    for part in PARTS:
        patterns += [f"{part}/*.json", f"{part}/*.safetensors"]
    try:
        return Path(
            snapshot_download(
                repo_id,
                revision=revision,
                local_files_only=local_files_only,
                allow_patterns=patterns,
            )
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError) as problem:
        reason = str(problem).strip().splitlines()[0]
        raise MissingResource(f"no model {repo_id!r}, here or on the Hub: {reason}") from problem
    except OSError as problem:
        raise EnvironmentProblem(f"cannot reach the Hub for {repo_id!r}: {problem}") from problem


def _dtype(dtype: Any) -> torch.dtype:
    found = dtype if isinstance(dtype, torch.dtype) else DTYPES.get(str(dtype))
    if found not in DTYPES.values():
        raise UserError(f"dtype must be one of {', '.join(DTYPES)}, but is {dtype!r}")
    return cast(torch.dtype, found)


def _hash(**parts: nn.Module) -> str:
    """16 hex digits from the beginning of each tensor: other training moves every weight."""
    digest = hashlib.sha256()
    for part, model in parts.items():
        for name, tensor in sorted(model.state_dict().items()):
            digest.update(f"{part}.{name} {tuple(tensor.shape)}".encode())
            digest.update(tensor.flatten()[:64].float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
