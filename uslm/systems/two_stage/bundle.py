"""A model that speaks, in one folder: the tokenizer, both stages, and how to use them.

    bundle.json    name, language, front end, sampling, limits
    tokenizer/     an acoustic tokenizer (config.json, model.safetensors)
    semantic/      stage 1
    acoustic/      stage 2
    README.md      the model card

Each part can also be loaded on its own.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm.generate.codebooks import fill_codebooks
from uslm.generate.sampling import Sampling
from uslm.models.base import AcousticModel, AcousticRow, PitchedModel, SemanticModel
from uslm.models.device import move, read_dtype
from uslm.models.folders import BUNDLE_FILE, DEFAULT, PARTS, VOCAB_FILE, resolve_bundle
from uslm.synthesis.protocols import Converted, FrontEnd, Imitate, SegmentSynthesizer
from uslm.synthesis.timer import StageTimer
from uslm.systems.registry import load_model
from uslm.systems.two_stage.config import BundleConfig
from uslm.systems.two_stage.conv_regressor import ConvRegressor
from uslm.systems.two_stage.facts import FORMAT, make_frontend, read_bundle_config, read_vocab
from uslm.systems.two_stage.voice_row import OUTPUT, POOLED, SPOKEN, voice_row
from uslm.text.frontend import FrontendResult, TextFrontend
from uslm.text.lexicon import Lexicon
from uslm.text.vocab import PhonemeVocab, SentencePieceVocab, TextVocab
from uslm.voices.prompt import VoicePrompt
from uslm.voices.verification import VerificationResult, recognizer, verify
from uslm_tokenizer.audio.read import Audio, AudioSource
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.codecs.unit_codec.model import UnitCodec
from uslm_tokenizer.config import to_dict
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.registry import load_tokenizer
from uslm_tokenizer.weight_hash import weight_hash
from uslm_tokenizer.whole_files import write_atomically

IMITATES: tuple[Imitate, ...] = ("timbre",)
"""What a bundle can take from a voice: the units of the source hold its manner."""


@dataclass(frozen=True, eq=False)
class Bundle:
    """A loaded model of ours, a `Synthesizer` and a `Converter`: read only, shared by all
    threads."""

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
    _vectors: Float[Tensor, "codebooks v e"] | None = field(init=False, repr=False)
    _voice_rows: WeakKeyDictionary[VoicePrompt, AcousticRow] = field(
        init=False, repr=False, default_factory=WeakKeyDictionary
    )

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
        self._check_pitch()
        parts = {part: getattr(self, part) for part in PARTS}
        object.__setattr__(self, "tokenizer_hash", weight_hash(tokenizer=self.tokenizer))
        object.__setattr__(self, "hash", weight_hash(**parts))
        object.__setattr__(self, "_vectors", self._codebook_vectors())

    @property
    def pitch_codebook(self) -> int | None:
        """Codebook of the codes that stage 1 draws beside the units, and stage 2 is given."""
        return self.tokenizer.pitch_codebook if self.acoustic.num_given_codebooks > 1 else None

    def _check_pitch(self) -> None:
        if self.acoustic.num_given_codebooks == 1:
            return
        if self.tokenizer.pitch_codebook != 1:
            raise ConfigError(
                f"stage 2 is a {self.acoustic.model_type}, which is given pitches, but codebook 1 "
                f"of the tokenizer, a {self.tokenizer.model_type}, is none"
            )
        if not isinstance(self.semantic, PitchedModel) or not self.semantic.num_pitches:
            raise ConfigError(
                f"stage 2 is a {self.acoustic.model_type}, which is given pitches, but stage 1, a "
                f"{self.semantic.model_type}, draws none (pitch_reach)"
            )

    def voice_row(self, voice: VoicePrompt) -> AcousticRow:
        """The voice as stage 2 is given it: a row without frames."""
        row = self._voice_rows.get(voice)
        if row is None:
            row = voice_row(voice, self.config.prompt.acoustic_frames)
            if isinstance(self.acoustic, ConvRegressor):
                row = replace(row, memory=self.acoustic.remember(row))
            self._voice_rows[voice] = row
        return row

    @property
    def settings(self) -> BundleConfig:
        """Its name, and how it is used."""
        return self.config

    @property
    def sample_rate(self) -> int:
        """Samples per second of what it speaks, Hz."""
        return self.tokenizer.sample_rate

    @property
    def imitates(self) -> tuple[Imitate, ...]:
        """Aspects of a voice that it can imitate."""
        return IMITATES

    def fill(
        self, rows: Sequence[AcousticRow], generators: Sequence[torch.Generator]
    ) -> list[Int[Tensor, "k _"]]:
        """Let stage 2 fill the codebooks of some rows, the way the model is meant to."""
        return fill_codebooks(
            self.acoustic,
            rows,
            temperature=self.config.acoustic_temperature,
            generators=generators,
            vectors=self._vectors,
        )

    def _codebook_vectors(self) -> Float[Tensor, "codebooks v e"] | None:
        if not self.config.expected_latents:
            return None
        if not isinstance(self.tokenizer, UnitCodec):
            raise ConfigError(
                f"expected_latents needs a unit codec, but the tokenizer is a "
                f"{self.tokenizer.model_type!r}"
            )
        return self.tokenizer.codebook_vectors()

    def frontend(
        self, *, language: str | None = None, lexicon: Lexicon | None = None
    ) -> TextFrontend:
        """The front end for a language, the model's own unless given."""
        return make_frontend(self.config, self.vocab, language, lexicon)

    # These three work on a whole bundle: imported above, the files would need each other.

    def create_voice(
        self,
        frontend: FrontEnd,
        audio: Audio | AudioSource,
        text: str | None = None,
        *,
        name: str | None = None,
        max_seconds: float | None = None,
    ) -> VoicePrompt:
        """See `ZeroShotTTS.create_voice`."""
        from uslm.systems.two_stage.voice_creation import create_voice

        return create_voice(self, frontend, audio, text, name=name, max_seconds=max_seconds)

    def segment_synthesizer(self, sampling: Sampling, timer: StageTimer) -> SegmentSynthesizer:
        """The synthesizer of segments with this sampling."""
        from uslm.systems.two_stage.segment_synthesizer import BundleSegmentSynthesizer

        return BundleSegmentSynthesizer(self, sampling, timer)

    def convert(
        self,
        source: Audio,
        voice: VoicePrompt,
        seed: int,
        timer: StageTimer,
        imitate: Imitate = "timbre",
    ) -> Converted:
        """See `VoiceConverter.convert`."""
        assert imitate in self.imitates
        from uslm.systems.two_stage.conversion import convert_by_units

        return convert_by_units(self, source, voice, seed, timer)

    def check_can_verify(self) -> None:
        """Raise UserError unless the tokenizer can recognise phonemes."""
        recognizer(self.tokenizer)

    def verify(
        self, waveform: Float[Tensor, "1 n"], text: FrontendResult, stop_reason: str
    ) -> VerificationResult:
        """The verification of a segment, by the tokenizer's own recogniser."""
        return verify(self.tokenizer, waveform, self.phoneme_ids(text), stop_reason)

    def check_voice(self, voice: VoicePrompt) -> None:
        """Raise ConfigError if the voice was made for other codes, UserError if it is damaged."""
        voice.check_fits(self.tokenizer_hash, self.config.name)
        self.tokenizer.check_codes(voice.codes[None])
        voice.check_readable(self.vocab.size, self.config.name)
        self._check_extras(voice)

    def _check_extras(self, voice: VoicePrompt) -> None:
        """Raise ConfigError if what was made for stage 2 is not of its sizes."""
        if not isinstance(self.acoustic, ConvRegressor):
            return
        config, extras = self.acoustic.config, voice.extras
        sizes = {
            SPOKEN: (voice.codes.shape[1],),
            POOLED: (config.dim,),
            OUTPUT: (config.latent_dim,),
        }
        wrong = [name for name in sizes if name in extras and extras[name].shape != sizes[name]]
        ids = extras.get(SPOKEN, torch.zeros(0))
        if wrong or not bool(((ids >= -1) & (ids < config.text_vocab_size)).all()):
            raise ConfigError(
                f"voice {voice.name!r} was fitted to another model than {self.config.name!r}; "
                "create it again from its recording"
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
        target = move((self.tokenizer, self.semantic, self.acoustic), device)
        self._voice_rows.clear()  # what was made of them lies where the parts were
        if self._vectors is not None:
            object.__setattr__(self, "_vectors", self._vectors.to(target))
        if dtype is not None:
            self.semantic.to(read_dtype(dtype))
            self.acoustic.to(read_dtype(dtype))
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
        vocab=read_vocab(folder, config),
        folder=folder,
    )


def save_bundle(
    bundle: Bundle,
    folder: str | PathLike[str],
    *,
    dtype: torch.dtype | None = None,
    acoustic_dtype: torch.dtype | None = None,
    card: str = "",
) -> Path:
    """Write the folder; `dtype` stores the weights in that precision, `acoustic_dtype` those of
    stage 2, which bear int8 best. bundle.json comes last."""
    folder = Path(folder)
    for part in PARTS:
        stored = acoustic_dtype if part == "acoustic" and acoustic_dtype else dtype
        getattr(bundle, part).save_pretrained(folder / part, dtype=stored)
    if isinstance(bundle.vocab, SentencePieceVocab):
        bundle.vocab.save(folder / VOCAB_FILE)
    card = card or f"# {bundle.config.name}\n"
    write_atomically(folder / "README.md", lambda path: path.write_text(card, "utf-8"))
    description = {"format": FORMAT, **to_dict(bundle.config)}
    text = json.dumps(description, indent=2, ensure_ascii=False) + "\n"
    write_atomically(folder / BUNDLE_FILE, lambda path: path.write_text(text, "utf-8"))
    return folder
