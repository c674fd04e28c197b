"""A language model that reads spans of tokens of several kinds, and writes one more: a stage of a
cascade.

    reads    [noisy units] u1 u2 u3   [clean units] c1 c2 c3   [noisy codes] n1 n2 n3
    writes   [clean codes] k1 k2 k3 END

Every span begins with the mark of its kind. Positions are those of its own time, so that tokens of
one moment stand at one place whatever span they are in, as position ids that restart do in GenSE
(Yao et al. 2025); kinds without a rate, as text is, are counted. A system gives it its name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from uslm.models.spans import Span
from uslm.models.teacher_forcing import NOT_PREDICTED, TeacherForced
from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.hub import PretrainedModel
from uslm_tokenizer.nn.attention import KVCache
from uslm_tokenizer.nn.padding import pad_left, pad_right
from uslm_tokenizer.nn.transformer import Transformer


@dataclass(frozen=True, kw_only=True)
class TokenKind:
    """One kind of token."""

    name: str
    """What the stages of a cascade call it."""
    size: int
    """Number of different tokens."""
    rate: float = 0.0
    """Tokens per second, Hz; 0: they have no time of their own."""
    dim: int = 0
    """Width of a kind that is vectors, of size 1; 0: it is tokens."""
    tables: int = 1
    """Tables that the tokens are of in turn, as those of several codebooks frame after frame are;
    `size` counts the tokens of all of them."""

    def __post_init__(self) -> None:
        if not self.name or self.size < 1 or not self.rate >= 0:
            raise ConfigError(
                "a kind of token must have a name, a size of 1 or more and a rate of 0 or more, "
                f"but is {self}"
            )
        if self.dim < 0 or (self.dim and self.size != 1):
            raise ConfigError(
                f"a kind that is vectors must have a dim of 1 or more and size 1, but is {self}"
            )
        if self.tables < 1 or self.size % self.tables:
            raise ConfigError(
                f"the {self.size} tokens of {self.name} must be those of 1 or more tables of one "
                f"size, but tables is {self.tables}"
            )

    def at(self, place: int) -> slice:
        """The ids that a token at this place of a span may have."""
        each = self.size // self.tables
        return slice(place % self.tables * each, (place % self.tables + 1) * each)


@dataclass(frozen=True, kw_only=True)
class SpanLMSizes:
    """Sizes of a SpanLM, whatever it reads and writes."""

    dim: int = 512
    """Width of the transformer."""
    num_heads: int = 8
    """Attention heads of each layer."""
    num_layers: int = 8
    """Layers."""
    dropout: float = 0.1
    """Share of activations dropped in training."""


@dataclass(frozen=True, kw_only=True)
class SpanLMConfig(SpanLMSizes):
    """Sizes of a SpanLM, and its kinds."""

    kinds: tuple[TokenKind, ...]
    """The kinds of token that it reads and writes."""

    def __post_init__(self) -> None:
        names = [kind.name for kind in self.kinds]
        if not names or len(set(names)) < len(names):
            raise ConfigError(f"kinds must have names of their own, but are {names}")

    @property
    def fastest(self) -> float:
        """The highest rate of all kinds, tokens per second."""
        return max(kind.rate for kind in self.kinds)

    def offset(self, number: int) -> int:
        """Id of the first token of a kind; after the last kind, of the marks."""
        return list(accumulate((kind.size for kind in self.kinds), initial=0))[number]

    @property
    def vector_dim(self) -> int:
        """The widths of all kinds that are vectors, side by side."""
        return sum(kind.dim for kind in self.kinds)

    @property
    def end_id(self) -> int:
        """The id that ends a span."""
        return self.offset(len(self.kinds)) + len(self.kinds)

    @property
    def num_ids(self) -> int:
        """Ids of the tokens of all kinds, of the marks, and of the end."""
        return self.end_id + 1


@dataclass
class SpanBatch(TeacherForced):
    """Rows of spans in one table of ids, padded at the right."""

    tokens: Int[Tensor, "b l"]
    positions: Float[Tensor, "b l"]
    targets: Int[Tensor, "b l"]
    """The id that follows, of the last span and its end; NOT_PREDICTED elsewhere."""
    vectors: Float[Tensor, "b l v"]
    """Of kinds that are vectors, each at its own channels; 0 elsewhere."""


class SpanLM(PretrainedModel):
    """Spans -> one span more. Rows are read and written side by side."""

    config_class: ClassVar[type] = SpanLMConfig
    config: SpanLMConfig

    def __init__(self, config: SpanLMConfig) -> None:
        super().__init__(config)
        self.embedding = nn.Embedding(config.num_ids, config.dim)
        width = config.vector_dim
        self.from_vectors = nn.Linear(width, config.dim, bias=False) if width else None
        self.transformer = Transformer(
            config.dim, config.num_heads, config.num_layers, dropout=config.dropout
        )
        self.to_logits = nn.Linear(config.dim, config.num_ids, bias=False)
        nn.init.normal_(self.embedding.weight, std=0.5)

    @classmethod
    def tiny_config(cls) -> SpanLMConfig:
        kinds = (
            TokenKind(name="text", size=20),
            TokenKind(name="units", size=32, rate=50.0),
            TokenKind(name="codes", size=16, rate=100.0),
        )
        return SpanLMConfig(kinds=kinds, dim=32, num_heads=2, num_layers=2, dropout=0.0)

    def kind(self, name: str) -> TokenKind:
        """The kind of this name. UserError where there is none."""
        return self.config.kinds[self._number(name)]

    def batch(self, rows: Sequence[Sequence[Span]]) -> SpanBatch:
        """Teacher-forced rows, of each of which the last span is to be written.

        UserError for kinds and ids that the model has not.
        """
        tokens, positions, targets, vectors = [], [], [], []
        for row in rows:
            assert row, "a row ends with the span to write"
            ids, places, given = self._spelt(row)
            ends = torch.tensor([self.config.end_id])
            target = torch.cat([ids[1:], ends])
            target[: len(ids) - len(row[-1].ids) - 1] = NOT_PREDICTED
            tokens.append(ids)
            positions.append(places)
            targets.append(target)
            vectors.append(given)
        return SpanBatch(
            tokens=pad_right(tokens, self.config.end_id)[0],
            positions=pad_right(positions)[0],
            targets=pad_right(targets, NOT_PREDICTED)[0],
            vectors=pad_right(vectors)[0],
        )

    def forward(
        self,
        tokens: Int[Tensor, "b l"],
        positions: Float[Tensor, "b l"],
        vectors: Float[Tensor, "b l v"] | None = None,
    ) -> Float[Tensor, "b l d"]:
        """Hidden states of whole rows; padding stands at the right."""
        x = self._embedded(tokens, vectors)
        return cast(Tensor, self.transformer(x, positions, causal=True))

    def loss(self, batch: SpanBatch) -> Float[Tensor, ""]:
        """Mean cross-entropy of what is to be written, its end included, nats a token."""
        predicted = batch.targets != NOT_PREDICTED
        hidden = self(batch.tokens, batch.positions, batch.vectors)[predicted]
        return F.cross_entropy(self.to_logits(hidden).float(), batch.targets[predicted])

    def new_cache(self, batch_size: int, capacity: int) -> KVCache:
        """An empty cache for rows of up to `capacity` ids; every span has a mark beside its
        tokens."""
        return self.transformer.new_cache(batch_size, capacity)

    @torch.no_grad()
    def begin(
        self, rows: Sequence[Sequence[Span]], kind: str, cache: KVCache
    ) -> Float[Tensor, "b v"]:
        """Read rows, whose next span is of a kind, into the empty cache; logits of its first token,
        the last of them those of the end."""
        assert cache.length == 0
        nothing = torch.zeros(0, dtype=torch.long)
        spelt = [self._spelt([*row, Span(kind, nothing)]) for row in rows]
        tokens, valid = pad_left([ids for ids, _, _ in spelt], self.config.end_id)
        positions = pad_left([places for _, places, _ in spelt])[0].to(self.device)
        vectors = pad_left([given for _, _, given in spelt])[0].to(self.device)
        x = self._embedded(tokens.to(self.device), vectors)
        hidden = self.transformer.extend(x, positions, cache, valid.to(self.device))
        cache.positions = positions.new_zeros(len(rows))
        return self._scores(hidden[:, -1], kind)

    @torch.no_grad()
    def step(self, tokens: Int[Tensor, " b"], kind: str, cache: KVCache) -> Float[Tensor, "b v"]:
        """Read the next token of the span of each row; logits of the one after it."""
        assert cache.positions is not None, "begin comes before step"
        x = self.embedding(tokens + self.config.offset(self._number(kind)))[:, None]
        hidden = self.transformer.extend(x, cache.positions[:, None], cache)
        cache.positions = cache.positions + self._stride(self.kind(kind))
        return self._scores(hidden[:, 0], kind)

    def _scores(self, hidden: Float[Tensor, "b d"], kind: str) -> Float[Tensor, "b v"]:
        first = self.config.offset(self._number(kind))
        weight = self.to_logits.weight
        tokens = F.linear(hidden, weight[first : first + self.kind(kind).size])
        end = (hidden * weight[self.config.end_id]).sum(dim=-1, keepdim=True)
        return torch.cat([tokens, end], dim=1).float()

    def _embedded(
        self, tokens: Int[Tensor, "b l"], vectors: Float[Tensor, "b l v"] | None
    ) -> Float[Tensor, "b l d"]:
        x = cast(Tensor, self.embedding(tokens))
        if self.from_vectors is None or vectors is None:
            return x
        return x + cast(Tensor, self.from_vectors(vectors.to(x.dtype)))

    def _spelt(
        self, row: Sequence[Span]
    ) -> tuple[Int[Tensor, " l"], Float[Tensor, " l"], Float[Tensor, "l v"]]:
        """Ids, positions and vectors of the spans, one after the other."""
        ids, positions, vectors = [], [], []
        for span in row:
            number = self._number(span.kind)
            kind, own = self.config.kinds[number], span.ids.cpu().long()
            if own.numel() and not 0 <= int(own.min()) <= int(own.max()) < kind.size:
                raise UserError(
                    f"{kind.name} must lie in [0, {kind.size}), but reach from {int(own.min())} "
                    f"to {int(own.max())}"
                )
            table = torch.arange(len(own)) % kind.tables
            if not torch.equal(own // (kind.size // kind.tables), table):
                raise UserError(
                    f"{kind.name} must be of {kind.tables} tables in turn, one token of each, but "
                    "are not"
                )
            mark = self.config.offset(len(self.config.kinds)) + number
            ids += [torch.tensor([mark]), own + self.config.offset(number)]
            positions += [torch.tensor([-1.0]), torch.arange(len(own)) * self._stride(kind)]
            vectors += [torch.zeros(1, self.config.vector_dim), self._channels(span, number)]
        return torch.cat(ids), torch.cat(positions), torch.cat(vectors)

    def _channels(self, span: Span, number: int) -> Float[Tensor, "n v"]:
        """Vectors of a span at the channels of its kind. UserError where they do not fit."""
        kind, count = self.config.kinds[number], len(span.ids)
        wanted = (count, kind.dim) if kind.dim else None
        found = None if span.vectors is None else tuple(span.vectors.shape)
        if found != wanted:
            raise UserError(
                f"{kind.name} must come "
                + (f"with {count} vectors of {kind.dim}" if kind.dim else "without vectors")
                + (", but came without" if found is None else f", but came with {list(found)}")
            )
        before = sum(each.dim for each in self.config.kinds[:number])
        after = self.config.vector_dim - before - kind.dim
        if span.vectors is None:
            return torch.zeros(count, self.config.vector_dim)
        return F.pad(span.vectors.cpu().float(), (before, after))

    def _stride(self, kind: TokenKind) -> float:
        """Positions from one token to the next: 1 of the fastest kind."""
        return self.config.fastest / kind.rate if kind.rate else 1.0

    def _number(self, name: str) -> int:
        names = [kind.name for kind in self.config.kinds]
        if name not in names:
            raise UserError(f"there is no kind of token {name!r}; this model has {names}")
        return names.index(name)
