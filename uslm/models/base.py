"""Interfaces of the two stages."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from uslm.models.voice_memory import VoiceMemory
from uslm_tokenizer.errors import UserError
from uslm_tokenizer.hub import PretrainedModel
from uslm_tokenizer.nn.attention import SLOT_STEP, KVCache
from uslm_tokenizer.nn.padding import pad_right

PROMPT_GAP = 20.0
"""Positions left empty between the prompt's last frame and the utterance's first."""


class SemanticModel(PretrainedModel, ABC):
    """Stage 1: text ids (and a prompt's units) -> units, one at a time."""

    needs_alignment: ClassVar[bool] = False
    """Whether training has to be told in which frame each symbol begins."""

    @property
    @abstractmethod
    def codebook_size(self) -> int:
        """Number of different units; the logit at this index means the end of speech."""

    @property
    def frames_per_unit(self) -> int:
        """Frames of the codec that each unit lasts: more than one of merged codes (VALL-E R)."""
        return 1

    @property
    def num_streams(self) -> int:
        """Units drawn in each step, one after the other: the first by the logits of `step`, which
        alone ends speech, each other one by `score_stream`."""
        return 1

    @property
    @abstractmethod
    def separator_id(self) -> int:
        """Text id that stands between the prompt's text and the text to speak."""

    @abstractmethod
    def new_cache(self, batch_size: int, capacity: int) -> KVCache:
        """An empty cache for rows of up to `capacity` tokens (text, prompt and speech)."""

    def new_slots(self, num_slots: int) -> KVCache:
        """Free slots for rows that come and go: `prefill` one in a cache of its own, then `put`."""
        cache = self.new_cache(num_slots, SLOT_STEP)
        cache.open_slots()
        return cache

    @abstractmethod
    def prefill(
        self,
        text_ids: Sequence[Int[Tensor, " _"]],
        prompt_units: Sequence[Int[Tensor, "*streams _"]],
        cache: KVCache,
    ) -> Float[Tensor, "b v"]:
        """Read text and prompt of each row into the empty cache; logits of the first unit."""

    @abstractmethod
    def step(self, units: Int[Tensor, "b *streams"], cache: KVCache) -> Float[Tensor, "b v"]:
        """Read one unit of each row, or of several streams one of each; logits of the next."""

    def score_stream(
        self, drawn: Int[Tensor, "b streams"], cache: KVCache
    ) -> Float[Tensor, "b codes"]:
        """Logits of the next stream of a step whose first streams are drawn; a depth transformer,
        for example. Asked of a model of several streams alone."""
        raise NotImplementedError

    def text_positions(self, cache: KVCache) -> list[int] | None:
        """Index in each row's text of the symbol that the unit scored last is of; None from a
        model that does not know."""
        return None

    def follow(self, tracks: Sequence[Sequence[int] | None], cache: KVCache) -> None:
        """Have rows say the symbols of their text when their track says, before they are prefilled;
        see `PhonePointer.follow`. UserError of a model that keeps no place in its text."""
        raise UserError(f"a {self.model_type} says symbols when it will, and follows no track")

    @abstractmethod
    def batch(
        self,
        text_ids: Sequence[Int[Tensor, " _"]],
        units: Sequence[Int[Tensor, " _"]],
        *,
        starts: Sequence[Int[Tensor, " _"]] | None = None,
        predict_from: Sequence[int] | None = None,
    ) -> Any:
        """Teacher-forced rows for `loss`, with a method `to(device)`.

        `starts` is the frame in which each symbol of a text begins; without it, a model that needs
        alignment takes them as evenly spread. `predict_from` is the frame where each row's prompt
        ends: what lies before is read and not predicted.
        """

    @abstractmethod
    def loss(self, batch: Any) -> Float[Tensor, ""]:
        """The loss that training minimises, nats per unit."""

    @classmethod
    @abstractmethod
    def tiny_config(cls) -> Any:
        """A config that builds in milliseconds, for tests and examples."""


class PitchedModel(SemanticModel, ABC):
    """A stage 1 that may also say how high each unit is spoken.

    Between two steps `score_pitch` scores the pitch of the units that were just drawn, and
    `take_pitch` says which was drawn; the next step reads it with the unit.
    """

    @property
    @abstractmethod
    def num_pitches(self) -> int:
        """Number of different pitches, the first of them unvoiced; 0: this one draws none."""

    @abstractmethod
    def relative_pitch(self, pitches: Int[Tensor, " t"]) -> Int[Tensor, " t"]:
        """Relative pitches, which the model draws in place of a codec's (0: unvoiced) of one
        utterance."""

    @abstractmethod
    def absolute_pitch(self, relative: int, median: int) -> int:
        """A codec's pitch, 1 or more, or 0, of one that was drawn for a voice."""

    @abstractmethod
    def prefill(
        self,
        text_ids: Sequence[Int[Tensor, " _"]],
        prompt_units: Sequence[Int[Tensor, " _"]],
        cache: KVCache,
        prompt_pitches: Sequence[Int[Tensor, " _"]] | None = None,
    ) -> Float[Tensor, "b v"]:
        """As of any stage 1; `prompt_pitches` are the relative ones of `prompt_units`."""

    @abstractmethod
    def score_pitch(self, units: Int[Tensor, " b"], cache: KVCache) -> Float[Tensor, "b p"]:
        """Logits of the pitch of units that were drawn by the last logits."""

    @abstractmethod
    def take_pitch(self, pitches: Int[Tensor, " b"], cache: KVCache) -> None:
        """Keep the pitches that were drawn for the next step."""


@dataclass
class AcousticBatch:
    """Rows of text and frames, each padded at the right."""

    text_ids: Int[Tensor, "b s"]
    text_mask: Bool[Tensor, "b s"]
    codes: Int[Tensor, "b k t"]
    """Prompt, context and target frames; what lies above the known codebooks is not looked at."""
    frame_mask: Bool[Tensor, "b t"]
    is_target: Bool[Tensor, "b t"]
    positions: Float[Tensor, "b t"]
    spoken_ids: Int[Tensor, "b t"]
    """Text id of the symbol that each frame is of; -1 where it is not known."""
    text_positions: Float[Tensor, "b s"] | None = None
    """Symbols before each one in its own text; None: as many as columns."""
    text_rows: Int[Tensor, "b s"] | None = None
    """Of a packed row (packing.py): which utterance each symbol is of, from 1 on; 0 is padding."""
    frame_rows: Int[Tensor, "b t"] | None = None
    """The same of the frames. None: a row is one utterance."""

    def to(self, device: torch.device) -> "AcousticBatch":
        """The same on another device."""
        tensors = {name: each.to(device) for name, each in vars(self).items() if each is not None}
        return replace(self, **tensors)

    def in_sight(self) -> Bool[Tensor, "b #q l"]:
        """The attention mask over text and frames, after each other."""
        if self.text_rows is None or self.frame_rows is None:
            return torch.cat([self.text_mask, self.frame_mask], dim=1)[:, None]
        rows = torch.cat([self.text_rows, self.frame_rows], dim=1)
        return rows[:, :, None] == rows[:, None]  # padding sees padding: no query sees nothing

    def frames_in_sight(self, which: Bool[Tensor, "b t"]) -> Bool[Tensor, "b #t t"]:
        """Those of some frames that each frame may look at."""
        if self.frame_rows is None:
            return which[:, None]
        return which[:, None] & (self.frame_rows[:, :, None] == self.frame_rows[:, None])

    def symbol_positions(self) -> Float[Tensor, "b s"]:
        """Symbols before each one in its text."""
        if self.text_positions is not None:
            return self.text_positions
        columns = torch.arange(self.text_ids.shape[1], device=self.text_ids.device)
        return columns.float().expand_as(self.text_ids)


@dataclass(frozen=True, eq=False)
class VoiceFit:
    """Parameters fitted to a voice beyond its prompt: shifts of what stage 2 makes of it."""

    pooled: Float[Tensor, " d"]
    """Added to the pooled voice."""
    output: Float[Tensor, " e"]
    """Added to each frame's latents."""

    @staticmethod
    def none() -> "VoiceFit":
        """Nothing is shifted."""
        return VoiceFit(torch.zeros(1), torch.zeros(1))


@dataclass
class AcousticRow:
    """One utterance (or a segment of it) to fill."""

    prompt: Int[Tensor, "k p"]
    """Another stretch of the same voice."""
    codes: Int[Tensor, "k t"]
    """Context and target frames."""
    num_context: int = 0
    """Frames of `codes` that are known whole."""
    start: int = 0
    """Frame of the utterance where `codes` begins."""
    text_ids: Int[Tensor, " s"] | None = None
    """The utterance's text, or None to do without."""
    text_positions: Int[Tensor, " t"] | None = None
    """Index in `text_ids` of the symbol that each frame of `codes` is of, where it is known."""
    prompt_spoken: Int[Tensor, " p"] | None = None
    """Text id of the symbol that each frame of `prompt` is of, -1 where it is not known."""
    fit: VoiceFit | None = None
    """What was fitted to the voice."""
    memory: VoiceMemory | None = None
    """What the model made of prompt and fit before, of a model that can keep it."""

    def prompt_spoken_ids(self) -> Int[Tensor, " p"]:
        """`prompt_spoken`; -1 everywhere without it."""
        unknown = torch.full((self.prompt.shape[1],), -1)
        return unknown if self.prompt_spoken is None else self.prompt_spoken.cpu()

    def spoken_ids(self) -> Int[Tensor, " f"]:
        """Text id of the symbol that each frame, the prompt's among them, is of; -1: unknown."""
        num_prompt, num_frames = self.prompt.shape[1], self.codes.shape[1]
        unknown = torch.full((num_prompt + num_frames,), -1)
        if self.text_ids is not None and self.text_positions is not None:
            unknown[num_prompt:] = self.text_ids.cpu()[self.text_positions.cpu()]
        return unknown


class AcousticModel(PretrainedModel, ABC):
    """Stage 2: units (and pitches) and a voice's codes -> codes of all codebooks.

    Either a `CodeModel`, which scores the codes, or a `VectorModel`, which predicts the vector
    that they should add up to.
    """

    num_given_codebooks: ClassVar[int] = 1
    """Codebooks that are known of the frames to fill: 1, the unit; 2, its pitch, too."""

    @property
    @abstractmethod
    def num_codebooks(self) -> int:
        """Codes in one frame, the unit among them."""

    @abstractmethod
    def batch(self, rows: Sequence[AcousticRow]) -> Any:
        """Rows padded to one length, on the model's device: with `codes`, and `is_target` where
        they are to be filled."""

    @abstractmethod
    def forward(self, batch: Any, num_known: Int[Tensor, " b"]) -> Float[Tensor, "b t d"]:
        """Hidden state of each frame when target frames show their first `num_known` codebooks."""

    @classmethod
    @abstractmethod
    def tiny_config(cls) -> Any:
        """A config that builds in milliseconds, for tests and examples."""


class CodeModel(AcousticModel):
    """Scores the codes of each codebook."""

    @property
    @abstractmethod
    def codebook_groups(self) -> tuple[int, ...]:
        """Codebooks that each pass of generation fills, lowest first; they cover codebooks 1 and
        up."""

    @abstractmethod
    def logits(self, hidden: Float[Tensor, "*any d"], codebook: int) -> Float[Tensor, "*any v"]:
        """Scores of the codes of one codebook (1 or more), from hidden states."""


class VectorModel(AcousticModel):
    """Predicts the decoder's input: its hidden states are what the codebooks to fill should add up
    to."""

    vectors: Tensor
    """What each code of these codebooks adds to the decoder's input, [codebooks, v, e]."""

    def predict(self, batch: Any) -> Float[Tensor, "b t e"]:
        """Predictions that the codes are taken from."""
        return cast(Tensor, self(batch, torch.ones_like(batch.codes[:, 0, 0])))


def batch_rows(rows: Sequence[AcousticRow], device: torch.device) -> AcousticBatch:
    """Rows padded to one length."""
    empty = torch.zeros(0, dtype=torch.long)
    texts = [empty if row.text_ids is None else row.text_ids.cpu() for row in rows]
    frames = [torch.cat([row.prompt.cpu(), row.codes.cpu()], dim=1) for row in rows]
    positions, targets = [], []
    for row in rows:
        num_prompt, num_frames = row.prompt.shape[1], row.codes.shape[1]
        before = torch.arange(num_prompt) - num_prompt - PROMPT_GAP
        positions.append(torch.cat([before, torch.arange(num_frames) + float(row.start)]))
        known = num_prompt + row.num_context
        targets.append(torch.arange(num_prompt + num_frames) >= known)
    text_ids, text_mask = pad_right(texts)
    codes, frame_mask = pad_right([frame.T for frame in frames])
    return AcousticBatch(
        text_ids=text_ids.to(device),
        text_mask=text_mask.to(device),
        codes=codes.transpose(1, 2).to(device),
        frame_mask=frame_mask.to(device),
        is_target=pad_right(targets)[0].to(device),
        positions=pad_right(positions)[0].to(device),
        spoken_ids=pad_right([row.spoken_ids() for row in rows], -1)[0].to(device),
    )
