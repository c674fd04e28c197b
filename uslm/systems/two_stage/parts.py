"""The parts of a model of ours: that they fit, and what all who use them ask of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from uslm.generate.codebooks import fill_codebooks
from uslm.models.base import AcousticModel, AcousticRow, PitchedModel, SemanticModel
from uslm.models.folders import PARTS
from uslm.systems.two_stage.config import BundleConfig
from uslm.systems.two_stage.conv_regressor import ConvRegressor
from uslm.systems.two_stage.facts import make_frontend
from uslm.systems.two_stage.voice_row import OUTPUT, POOLED, SPOKEN, voice_row
from uslm.text.frontend import FrontendResult, TextFrontend
from uslm.text.lexicon import Lexicon
from uslm.text.vocab import PhonemeVocab, TextVocab
from uslm.voices.prompt import VoicePrompt
from uslm.voices.verification import VerificationResult, recognizer, verify
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.codecs.unit_codec.model import UnitCodec
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.weight_hash import weight_hash


@dataclass(frozen=True, eq=False)
class BundleParts:
    """The parts of a loaded model of ours, fitted to each other: read only, shared by threads."""

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
        object.__setattr__(self, "tokenizer_hash", weight_hash(tokenizer=self.tokenizer))
        object.__setattr__(self, "hash", weight_hash(**self.networks))
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
    def needs_voice(self) -> bool:
        """True: a voice colours all that is said."""
        return True

    @property
    def sample_rate(self) -> int:
        """Samples per second of what it speaks, Hz."""
        return self.tokenizer.sample_rate

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """The parts that are networks, by the names of their folders."""
        return {part: getattr(self, part) for part in PARTS}

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
