"""Stage 1 by monotonic alignment: a language model of units that knows which symbol it is at.

    text            h   ə   l   oʊ  END
    text position   0 0 0 1 2 2 2 3 3 3 3 4
    units           a a b c d d e f f f g END

Beside each unit the model predicts how far the text position moves before the next one. It only
moves forward, so no word is repeated, and a few hours of speech are enough to
learn to read (the idea of VALL-E R, Han et al. 2024, arXiv 2406.07855). Training needs to know
where the text position is; the tokenizer's phoneme head tells by CTC alignment.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from uslm.models.base import PitchedModel
from uslm.models.phone_pointer import timed_from
from uslm.models.teacher_forcing import NOT_PREDICTED, TeacherForced
from uslm.systems.two_stage.alignment_cache import AlignmentCache
from uslm.systems.two_stage.special_tokens import SpecialTokenLM
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.nn.attention import KVCache
from uslm_tokenizer.nn.padding import pad_left, pad_right
from uslm_tokenizer.nn.transformer import Transformer

PITCH_WIDTH = 32
"""Width of the embedding of one of the pitches before."""


@dataclass(frozen=True, kw_only=True)
class MonotonicLMConfig:
    """Sizes of a MonotonicLM."""

    text_vocab_size: int = 53
    """Text ids run from 0 to this, exclusive; two more are added for the separator and the end."""
    codebook_size: int = 1024
    """Number of different units."""
    dim: int = 256
    """Width of both transformers."""
    num_heads: int = 4
    """Attention heads of each layer."""
    num_text_layers: int = 2
    """Layers that read the whole text first."""
    num_layers: int = 6
    """Layers that speak."""
    dropout: float = 0.1
    """Share of activations dropped in training."""
    max_advance: int = 8
    """Symbols that the text position moves at most in one frame; stress marks take no time."""
    advance_threshold: float = 0.8
    """The text position moves when the probabilities of moving, summed since its last move, reach
    this. Summed hazards of true durations are spread around 1; less reads faster."""
    pitch_reach: int = 0
    """Steps of a codec's pitch above and below the voice's median that are told apart; what lies
    beyond counts as the outermost. 0: no pitch is drawn."""
    pitch_history: int = 8
    """Pitches before a unit's that its pitch is drawn by."""
    frames_per_unit: int = 1
    """Frames that each unit lasts; as many as share the codes of the first level of a codec whose
    codes are merged (VALL-E R), and 1 of any other."""
    timeless_ids: tuple[int, ...] = ()
    """Text ids that take no time and are passed over, such as those of stress; with a max_advance
    of 1 every other symbol is then said, one after the other."""

    def __post_init__(self) -> None:
        for name in ("max_advance", "frames_per_unit"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be 1 or more, but is {getattr(self, name)}")


@dataclass
class MonotonicBatch(TeacherForced):
    """Text, and beside it units and text positions."""

    text_ids: Int[Tensor, "b s"]
    text_mask: Bool[Tensor, "b s"]
    units: Int[Tensor, "b t"]
    """The BOS token, then the units."""
    text_positions: Int[Tensor, "b t"]
    """Index of the symbol that is spoken with the unit that follows."""
    targets: Int[Tensor, "b t"]
    """The unit that follows, or NOT_PREDICTED."""
    advances: Int[Tensor, "b t"]
    """How far the text position moves then, or NOT_PREDICTED."""
    pitches: Int[Tensor, "b t"]
    """Of each unit in `units`."""
    pitch_targets: Int[Tensor, "b t"]
    """That of the unit that follows, or NOT_PREDICTED."""


class MonotonicLM(SpecialTokenLM, PitchedModel):
    """Phonemes (and a prompt) -> units, with an alignment that only goes forward.

    With a `pitch_reach`, each unit has a pitch, relative to the median of the voice: it is drawn
    once the unit is known, by what has led to the unit and by the pitches before. Units are drawn
    as if there were none: a model that reads may be taught pitch and goes on to read as it did.
    """

    model_type: ClassVar[str] = "monotonic_lm"
    config_class: ClassVar[type] = MonotonicLMConfig
    config: MonotonicLMConfig
    needs_alignment: ClassVar[bool] = True

    def __init__(self, config: MonotonicLMConfig) -> None:
        super().__init__(config)
        dim, heads = config.dim, config.num_heads
        self.text_embedding = nn.Embedding(config.text_vocab_size + 2, dim)
        self.text_encoder = Transformer(dim, heads, config.num_text_layers, dropout=config.dropout)
        self.unit_embedding = nn.Embedding(config.codebook_size + 1, dim)
        self.decoder = Transformer(dim, heads, config.num_layers, dropout=config.dropout)
        self.to_logits = nn.Linear(dim, config.codebook_size + 1, bias=False)
        self.to_advance = nn.Linear(dim, config.max_advance + 1)
        for table in (self.text_embedding, self.unit_embedding):
            nn.init.normal_(table.weight, std=0.5)
        self.pitch_head = PitchHead(config, self.num_pitches) if self.num_pitches else None

    @classmethod
    def tiny_config(cls) -> MonotonicLMConfig:
        return MonotonicLMConfig(
            codebook_size=32,
            dim=32,
            num_heads=2,
            num_text_layers=1,
            num_layers=2,
            dropout=0.0,
            pitch_reach=6,
        )

    @property
    def frames_per_unit(self) -> int:
        return self.config.frames_per_unit

    @property
    def num_pitches(self) -> int:
        reach = self.config.pitch_reach
        return 2 * reach + 2 if reach else 0

    def relative_pitch(self, pitches: Int[Tensor, " t"]) -> Int[Tensor, " t"]:
        voiced, reach = pitches > 0, self.config.pitch_reach
        if not bool(voiced.any()):
            return torch.zeros_like(pitches)
        steps = (pitches - pitches[voiced].median()).clamp(-reach, reach)
        return torch.where(voiced, steps + reach + 1, 0)

    def absolute_pitch(self, relative: int, median: int) -> int:
        return max(1, median + relative - self.config.pitch_reach - 1) if relative else 0

    def batch(
        self,
        text_ids: Sequence[Int[Tensor, " _"]],
        units: Sequence[Int[Tensor, " _"]],
        *,
        starts: Sequence[Int[Tensor, " _"]] | None = None,
        predict_from: Sequence[int] | None = None,
        pitches: Sequence[Int[Tensor, " _"]] | None = None,
    ) -> MonotonicBatch:
        """As of any stage 1; `pitches` are those of the units, relative to the median. Without
        them none is learnt."""
        if starts is None:
            pairs = zip(text_ids, units, strict=True)
            starts = [torch.arange(len(t)) * len(row) // max(len(t), 1) for t, row in pairs]
        ends = text_ids[0].new_tensor([self.text_eos_id])
        texts = [torch.cat([text, ends]) for text in text_ids]
        inputs, targets, text_positions, advances = [], [], [], []
        heights, height_targets = [], []
        for i, (row, begins) in enumerate(zip(units, starts, strict=True)):
            path, moves = self._path(text_ids[i], begins, len(row))
            known = 0 if predict_from is None else predict_from[i]
            mark = row.new_tensor([self.bos_id])
            inputs.append(torch.cat([mark, row]))
            text_positions.append(path)
            target = torch.cat([row, mark])
            # Behind the last unit the text position has arrived: there is nothing to move to.
            advance = torch.cat([moves, path.new_tensor([NOT_PREDICTED])])
            target[:known], advance[:known] = NOT_PREDICTED, NOT_PREDICTED
            targets.append(target)
            advances.append(advance)
            height = torch.zeros_like(row) if pitches is None else pitches[i]
            heights.append(F.pad(height, (1, 0)))
            height_target = F.pad(height, (0, 1), value=NOT_PREDICTED)
            height_target[: len(row) if pitches is None else known] = NOT_PREDICTED
            height_targets.append(height_target)
        padded, mask = pad_right(texts)
        return MonotonicBatch(
            text_ids=padded,
            text_mask=mask,
            units=pad_right(inputs)[0],
            text_positions=pad_right(text_positions)[0],
            targets=pad_right(targets, NOT_PREDICTED)[0],
            advances=pad_right(advances, NOT_PREDICTED)[0],
            pitches=pad_right(heights)[0],
            pitch_targets=pad_right(height_targets, NOT_PREDICTED)[0],
        )

    def _path(
        self, text: Int[Tensor, " s"], starts: Int[Tensor, " s"], num_frames: int
    ) -> tuple[Int[Tensor, " t"], Int[Tensor, " m"]]:
        """Text positions at each frame, and after the last one; and the moves between them, of
        `max_advance` symbols that take time at most."""
        wanted = torch.searchsorted(starts, torch.arange(num_frames), right=True) - 1
        goals, most = [*wanted.clamp(min=0).tolist(), len(starts)], self.config.max_advance
        if not self.config.timeless_ids:
            path = torch.tensor(_steps(goals, most))
            return path, path.diff()
        # Symbols that take time are counted, and no others.
        ways = timed_from(text.tolist(), self.config.timeless_ids)
        timed = sorted({*ways})
        counts = {place: count for count, place in enumerate(timed)}
        path = torch.tensor(_steps([counts[ways[goal]] for goal in goals], most))
        return torch.tensor(timed)[path], path.diff()

    def forward(
        self, batch: MonotonicBatch
    ) -> tuple[Float[Tensor, "b t v"], Float[Tensor, "b t a"]]:
        """Logits of the units and of the text position's moves at every position."""
        hidden = self._hidden(batch)
        return self.to_logits(hidden), self.to_advance(hidden)

    def loss(self, batch: MonotonicBatch) -> Float[Tensor, ""]:
        """Cross-entropy of the units, of their pitches and of the text position's moves, all of
        them for each unit to predict."""
        parts = self.loss_parts(batch)
        return torch.stack(list(parts.values())).sum()

    def loss_parts(self, batch: MonotonicBatch) -> dict[str, Float[Tensor, ""]]:
        """Summands of the loss, by name."""
        hidden = self._hidden(batch)
        logits = self.to_logits(hidden).float().flatten(0, 1)
        moves = self.to_advance(hidden).float().flatten(0, 1)
        targets, advances = batch.targets.flatten(), batch.advances.flatten()
        unit_loss = F.cross_entropy(logits, targets, ignore_index=NOT_PREDICTED, reduction="sum")
        move_loss = F.cross_entropy(moves, advances, ignore_index=NOT_PREDICTED, reduction="sum")
        parts = {"units": unit_loss, "moves": move_loss}
        if self.pitch_head is not None:
            drawn = batch.targets.clamp(min=0)
            history = self.pitch_head.histories(batch.pitches)
            pitch_logits = self.pitch_head(hidden, drawn, history).float().flatten(0, 1)
            parts["pitches"] = F.cross_entropy(
                pitch_logits,
                batch.pitch_targets.flatten(),
                ignore_index=NOT_PREDICTED,
                reduction="sum",
            )
        # One divisor for all: so a batch is the mean of its halves, each by its units.
        count = (targets != NOT_PREDICTED).sum()
        return {name: part / count for name, part in parts.items()}

    def new_cache(self, batch_size: int, capacity: int) -> AlignmentCache:
        cache = AlignmentCache(**vars(self.decoder.new_cache(batch_size, capacity)))
        if self.num_pitches:
            shape = (batch_size, self.config.pitch_history)
            cache.pitches = torch.zeros(shape, dtype=torch.long, device=self.device)
        return cache

    @torch.no_grad()
    def prefill(
        self,
        text_ids: Sequence[Int[Tensor, " _"]],
        prompt_units: Sequence[Int[Tensor, " _"]],
        cache: KVCache,
        prompt_pitches: Sequence[Int[Tensor, " _"]] | None = None,
    ) -> Float[Tensor, "b v"]:
        """The prompt's units are read one by one, as the alignment has to be found for
        them; at their end it goes on to the symbol after the separator. `prompt_pitches` are
        relative to the prompt's median; without them it counts as unvoiced."""
        assert isinstance(cache, AlignmentCache) and cache.length == 0
        texts = [F.pad(text.cpu(), (0, 1), value=self.text_eos_id) for text in text_ids]
        padded, mask = (part.to(self.device) for part in pad_right(texts))
        timeless = self.config.timeless_ids
        ids = [text.tolist() for text in texts] if timeless else None
        last = [len(text) - 1 for text in texts]
        cache.begin_reading(self._read(padded, mask), last, ids, timeless)
        # Rows are aligned at their right ends: one with a shorter prompt starts later.
        prompts, started = pad_left(
            [F.pad(units.cpu(), (1, 0), value=self.bos_id) for units in prompt_units]
        )
        if prompt_pitches is None:
            heights = torch.zeros_like(prompts)
        else:
            heights = pad_left([F.pad(row.cpu(), (1, 0)) for row in prompt_pitches])[0]
        columns = (prompts.T.to(self.device), heights.T.to(self.device), started.T.tolist())
        *before, (units, pitches, going) = zip(*columns, strict=True)
        for each_units, each_pitches, each_going in before:
            self.take_pitch(each_pitches, cache)
            self._advance(each_units, cache, each_going)
        cache.begin_speaking([_behind(text, self.separator_id) for text in texts])
        self.take_pitch(pitches, cache)
        return self._score(self._advance(units, cache, going), cache)

    def text_positions(self, cache: KVCache) -> list[int]:
        assert isinstance(cache, AlignmentCache)
        return cache.pointer.spoken

    def follow(self, tracks: Sequence[Sequence[int] | None], cache: KVCache) -> None:
        assert isinstance(cache, AlignmentCache) and cache.length == 0
        cache.tracks = list(tracks)

    @torch.no_grad()
    def step(self, units: Int[Tensor, " b"], cache: KVCache) -> Float[Tensor, "b v"]:
        assert isinstance(cache, AlignmentCache)
        return self._score(self._advance(units, cache, [True] * len(units)), cache)

    @torch.no_grad()
    def score_pitch(self, units: Int[Tensor, " b"], cache: KVCache) -> Float[Tensor, "b p"]:
        assert isinstance(cache, AlignmentCache) and self.pitch_head is not None
        return cast(Tensor, self.pitch_head(cache.hidden, units, cache.pitches).float())

    def take_pitch(self, pitches: Int[Tensor, " b"], cache: KVCache) -> None:
        assert isinstance(cache, AlignmentCache)
        if cache.pitches is not None:
            cache.pitches = torch.cat([cache.pitches[:, 1:], pitches[:, None]], dim=1)

    def _advance(
        self, units: Int[Tensor, " b"], cache: AlignmentCache, going: list[bool]
    ) -> Float[Tensor, "b d"]:
        """Read a unit of the rows that are going, and move their text positions."""
        # Weights, not modules: here the call of a module costs as much as its kernel.
        x = self.unit_embedding.weight.index_select(0, units) + cache.pointed
        if cache.is_plain and all(going) and not self.training and not _autocasts(x.device.type):
            hidden = self.decoder.step(x, cache)
        else:
            valid = torch.tensor(going, device=units.device)[:, None]
            positions = cache.num_tokens()[:, None]
            hidden = self.decoder.extend(x[:, None], positions, cache, valid)[:, 0]
        moves = torch.addmm(self.to_advance.bias, hidden, self.to_advance.weight.t())
        shares = moves.float().softmax(dim=-1).tolist()
        cache.move(shares, going, self.config.advance_threshold)
        cache.hidden = hidden
        return hidden

    def _score(self, hidden: Float[Tensor, "b d"], cache: AlignmentCache) -> Float[Tensor, "b v"]:
        """Logits of the next unit."""
        logits = F.linear(hidden, self.to_logits.weight).float()
        cache.pointer.close(logits)
        return logits

    def _read(
        self, text_ids: Int[Tensor, "b s"], mask: Bool[Tensor, "b s"]
    ) -> Float[Tensor, "b s d"]:
        positions = torch.arange(text_ids.shape[1], device=text_ids.device).expand_as(text_ids)
        x = self.text_embedding(text_ids)
        return cast(Tensor, self.text_encoder(x, positions, mask=mask[:, None, None]))

    def _hidden(self, batch: MonotonicBatch) -> Float[Tensor, "b t d"]:
        symbols = self._read(batch.text_ids, batch.text_mask)
        index = batch.text_positions[..., None].expand(-1, -1, symbols.shape[-1])
        x = self.unit_embedding(batch.units) + symbols.gather(1, index)
        positions = torch.arange(x.shape[1], device=x.device).expand(len(x), -1)
        return cast(Tensor, self.decoder(x, positions, causal=True))


class PitchHead(nn.Module):
    """The pitch of a unit: from the state at which it was drawn, the unit, and the pitches before.

    A network of its own beside the speaker: the pitch of each frame is heard once more by the next
    frames' pitches, and not by their units.
    """

    def __init__(self, config: MonotonicLMConfig, num_pitches: int) -> None:
        super().__init__()
        dim, history = config.dim, config.pitch_history
        hidden = 3 * dim // 2
        self.num_before = history
        self.unit_embedding = nn.Embedding(config.codebook_size + 1, dim)
        self.before_embedding = nn.Embedding(num_pitches, PITCH_WIDTH)
        self.from_state = nn.Linear(dim, hidden)
        self.from_before = nn.Linear(history * PITCH_WIDTH, hidden, bias=False)
        self.between = nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, num_pitches)
        nn.init.normal_(self.unit_embedding.weight, std=0.5)

    def histories(self, pitches: Int[Tensor, "b t"]) -> Int[Tensor, "b t h"]:
        """The latest pitches at each place of some rows; before them all is unvoiced."""
        return F.pad(pitches, (self.num_before - 1, 0)).unfold(1, self.num_before, 1)

    def forward(
        self,
        hidden: Float[Tensor, "*any d"],
        units: Int[Tensor, "*any"],
        history: Int[Tensor, "*any h"],
    ) -> Float[Tensor, "*any p"]:
        """Logits; `history` are the latest pitches, the last one last."""
        state = self.from_state(hidden + self.unit_embedding(units))
        state = F.gelu(state + self.from_before(self.before_embedding(history).flatten(-2)))
        return cast(Tensor, self.out(F.gelu(self.between(state))))


def _autocasts(device_type: str) -> bool:
    """Whether what runs on such a device is given another precision on the way."""
    return torch.amp.is_autocast_available(device_type) and torch.is_autocast_enabled(device_type)


def _steps(goals: Sequence[int], most: int) -> list[int]:
    """Places as near to the goals as steps forward of `most` let come, from 0 on."""
    path: list[int] = []
    for goal in goals:
        place = path[-1] if path else 0
        path.append(max(place, min(goal, place + most if path else 0)))
    return path


def _behind(text: Int[Tensor, " s"], separator: int) -> int:
    """Index of the symbol after the last separator; 0 where there is none."""
    places = (text == separator).nonzero()
    return int(places[-1]) + 1 if len(places) else 0
