"""A model that speaks, in one folder: the tokenizer, both stages, and how to use them.

    bundle.json    name, language, front end, sampling, limits
    tokenizer/     an acoustic tokenizer (config.json, model.safetensors)
    semantic/      stage 1
    acoustic/      stage 2
    README.md      the model card

Each part can also be loaded on its own.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm.generate.autoregressive import SpeakUnits
from uslm.generate.sampling import Sampling
from uslm.models.base import AcousticModel, SemanticModel
from uslm.models.device import move, read_dtype
from uslm.models.folders import BUNDLE_FILE, DEFAULT, PARTS, VOCAB_FILE, resolve_bundle
from uslm.synthesis.protocols import Converted, FrontEnd, Imitate, SegmentSynthesizer, VoiceMaker
from uslm.synthesis.timer import StageTimer
from uslm.systems.registry import load_model, outline_model
from uslm.systems.two_stage.continuation import continue_by_units
from uslm.systems.two_stage.conversion import convert_by_units
from uslm.systems.two_stage.facts import FORMAT, read_bundle_config, read_vocab
from uslm.systems.two_stage.parts import BundleParts
from uslm.systems.two_stage.segment_synthesizer import BundleSegmentSynthesizer
from uslm.systems.two_stage.voice_creation import create_voice, render_voice
from uslm.text.vocab import SentencePieceVocab
from uslm.voices.prompt import VoicePrompt
from uslm.voices.verification import find_recognizer
from uslm.voices.word_times import WordAligner
from uslm_tokenizer.audio.read import Audio, AudioSource
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.config import to_dict
from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.hub import PretrainedModel
from uslm_tokenizer.registry import load_tokenizer, outline_tokenizer
from uslm_tokenizer.whole_files import write_atomically

IMITATES: tuple[Imitate, ...] = ("timbre",)
"""What a bundle can take from a voice: the units of the source hold its manner."""


@dataclass(frozen=True, eq=False)
class Bundle(BundleParts):
    """A model of ours, a `Synthesizer` and a `Converter`: read only, shared by all threads."""

    @property
    def imitates(self) -> tuple[Imitate, ...]:
        """Aspects of a voice that it can imitate."""
        return IMITATES

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
        return create_voice(self, frontend, audio, text, name=name, max_seconds=max_seconds)

    @property
    def unit_model(self) -> SemanticModel:
        """Stage 1."""
        return self.semantic

    def segment_synthesizer(
        self, sampling: Sampling, timer: StageTimer, speak: SpeakUnits | None = None
    ) -> SegmentSynthesizer:
        """The synthesizer of segments with this sampling; `speak` draws the units in place of
        stage 1 alone."""
        return BundleSegmentSynthesizer(self, sampling, timer, speak)

    def word_aligner(self, frontend: FrontEnd) -> WordAligner | None:
        """An aligner with the tokenizer's own recogniser, if it has one."""
        if find_recognizer(self.tokenizer) is None:
            return None
        return WordAligner(self.tokenizer, lambda word: self.phoneme_ids(frontend(word)))

    def render_voice(self, voice: VoicePrompt) -> Float[Tensor, "1 n"]:
        """The sound of the voice's prompt, as far as its codes hold it."""
        return render_voice(self, voice)

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
        return convert_by_units(self, source, voice, seed, timer)

    def go_on(
        self,
        prompt: Audio,
        voice: VoicePrompt,
        go_on: Callable[[Int[Tensor, " t"]], Int[Tensor, " n"]],
        seed: int,
        timer: StageTimer,
    ) -> Converted:
        """Sound that follows a recording, where `go_on` tells the units that follow its own."""
        return continue_by_units(self, prompt, voice, go_on, seed, timer)

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


def bundle_of(model: VoiceMaker) -> Bundle:
    """The model, whose parts somebody needs; UserError if it is another system's."""
    if not isinstance(model, Bundle):
        raise UserError(
            f"this works with models of ours only, but {model.settings.name!r} is a "
            f"{type(model).__name__}"
        )
    return model


def load_bundle(
    name_or_path: str | PathLike[str] = DEFAULT,
    *,
    revision: str | None = None,
    local_files_only: bool = False,
) -> Bundle:
    """A model by folder, by Hub repository, or the one that comes with the package (`default`)."""
    folder = resolve_bundle(name_or_path, revision=revision, local_files_only=local_files_only)
    return _put_together(folder, load_model, load_tokenizer)


def outline_bundle(folder: Path) -> Bundle:
    """A model without the weights of its parts, see `PretrainedModel.outline`."""
    return _put_together(folder, outline_model, outline_tokenizer)


def _put_together(
    folder: Path,
    model: Callable[[Path], PretrainedModel],
    tokenizer: Callable[[Path], AudioTokenizer],
) -> Bundle:
    config = read_bundle_config(folder)
    semantic, acoustic = model(folder / "semantic"), model(folder / "acoustic")
    if not isinstance(semantic, SemanticModel) or not isinstance(acoustic, AcousticModel):
        raise ConfigError(
            f"{folder}: 'semantic' must hold a first stage and 'acoustic' a second, but they hold "
            f"{semantic.model_type!r} and {acoustic.model_type!r}"
        )
    return Bundle(
        config=config,
        tokenizer=tokenizer(folder / "tokenizer"),
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
