"""Moshi's language model (Defossez et al. 2024, arXiv 2410.00037): text and codes, step by step.

    step of the grid     text  own codes 0..7  user's codes 0..7
                            \\       |        /
    temporal transformer    sum of embeddings -> state -> next text token
    depth transformer       state, text -> own code 0 -> own code 1 -> ... of the same next step

Later streams are delayed: see `MoshiConfig.streams`. With the audio after the text it is a model
that reads aloud, with the text after the audio one that transcribes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from uslm.models.depth import DepthDecoder
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.hub import PretrainedModel
from uslm_tokenizer.nn.llama import Llama
from uslm_tokenizer.nn.transformer import window_mask
from uslm_tokenizer.sequence.grid import Stream, TokenGrid, build_grid, delay, initial_tokens

EPSILON = 1e-8
"""Of Moshi's norms."""


@dataclass(frozen=True, kw_only=True)
class MoshiConfig:
    """Sizes of a MoshiLM; the defaults are those of the published Moshi."""

    text_vocab_size: int = 32_000
    """Different text tokens."""
    pad_id: int = 3
    """Text token of a frame in which nothing is written."""
    end_pad_id: int = 0
    """Text token of the frame before a word."""
    codebook_size: int = 2048
    """Entries of each codebook."""
    num_codebooks: int = 8
    """Codebooks that the model speaks; 0: it only writes text."""
    num_user_codebooks: int = 8
    """Codebooks of the other speaker, which it is given; 0: none."""
    dim: int = 4096
    """Width of the temporal transformer."""
    num_heads: int = 32
    """Attention heads of each of its layers."""
    num_layers: int = 32
    """Its layers."""
    hidden_dim: int = 11_264
    """Width inside its feed-forward layers."""
    context: int = 3000
    """Steps that it looks back, the current one among them."""
    depth_dim: int = 1024
    """Width of the depth transformer."""
    depth_num_heads: int = 16
    """Attention heads of each of its layers."""
    depth_num_layers: int = 6
    """Its layers."""
    depth_hidden_dim: int = 2816
    """Width inside its feed-forward layers."""
    acoustic_delay: int = 1
    """Steps by which all codebooks but the first come after it."""
    text_delay: int = 0
    """Steps by which the text comes after the first codebooks."""
    audio_delay: int = 0
    """Steps by which all codes come after the text."""
    semantic_weight: float = 100.0
    """What the first codebook counts in the loss, beside 1 of each other."""
    padding_weight: float = 1.0
    """What padding of the text counts, beside 1 of each other token; 0.5 where Moshi is
    fine-tuned."""

    def __post_init__(self) -> None:
        for name in ("num_codebooks", "num_user_codebooks"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must be 0 or more, but is {getattr(self, name)}")
        if self.num_codebooks + self.num_user_codebooks == 0:
            raise ConfigError("num_codebooks or num_user_codebooks must be above 0, but both are 0")
        for name in ("pad_id", "end_pad_id"):
            if not 0 <= getattr(self, name) < self.text_vocab_size:
                raise ConfigError(
                    f"{name} must be a text token, from 0 to {self.text_vocab_size - 1}, "
                    f"but is {getattr(self, name)}"
                )
        if self.pad_id == self.end_pad_id:
            raise ConfigError(f"pad_id and end_pad_id must differ, but both are {self.pad_id}")

    @property
    def streams(self) -> tuple[Stream, ...]:
        """Text, own codes, the user's codes."""
        text = Stream(name="text", size=self.text_vocab_size, delay=self.text_delay)
        own = (
            self._codes("own", k, self.semantic_weight if k == 0 else 1.0)
            for k in range(self.num_codebooks)
        )
        user = (self._codes("user", k, 0.0) for k in range(self.num_user_codebooks))
        return (text, *own, *user)

    @property
    def max_delay(self) -> int:
        """Steps by which the grid is longer than the frames."""
        return max(stream.delay for stream in self.streams)

    def _codes(self, speaker: str, k: int, weight: float) -> Stream:
        later = self.audio_delay + (self.acoustic_delay if k else 0)
        return Stream(name=f"{speaker} {k}", size=self.codebook_size, delay=later, weight=weight)


@dataclass
class MoshiLogits:
    """Scores of every step of a delayed grid, each of that step's own tokens."""

    text: Float[Tensor, "b t v"]
    codes: Float[Tensor, "b t k c"]


class MoshiLM(PretrainedModel):
    """Scores text and own codes of each step by all steps before."""

    model_type: ClassVar[str] = "moshi_lm"
    config_class: ClassVar[type] = MoshiConfig
    config: MoshiConfig

    def __init__(self, config: MoshiConfig) -> None:
        super().__init__(config)
        num_audio = config.num_codebooks + config.num_user_codebooks
        self.text_embedding = nn.Embedding(config.text_vocab_size + 1, config.dim)
        self.code_embeddings = nn.ModuleList(
            nn.Embedding(config.codebook_size + 1, config.dim) for _ in range(num_audio)
        )
        self.transformer = Llama(
            config.dim,
            config.num_heads,
            config.num_layers,
            hidden_dim=config.hidden_dim,
            epsilon=EPSILON,
        )
        self.to_text = nn.Linear(config.dim, config.text_vocab_size, bias=False)
        self.depth = (
            DepthDecoder(
                num_codebooks=config.num_codebooks,
                codebook_size=config.codebook_size,
                first_size=config.text_vocab_size + 1,
                state_dim=config.dim,
                dim=config.depth_dim,
                num_heads=config.depth_num_heads,
                num_layers=config.depth_num_layers,
                hidden_dim=config.depth_hidden_dim,
                epsilon=EPSILON,
            )
            if config.num_codebooks
            else None
        )
        for table in (self.text_embedding, *self.code_embeddings):
            nn.init.normal_(table.weight, std=num_audio**-0.5 / 2)  # they are added up

    @classmethod
    def tiny_config(cls) -> MoshiConfig:
        return MoshiConfig(
            text_vocab_size=20,
            codebook_size=16,
            num_codebooks=3,
            num_user_codebooks=3,
            dim=32,
            num_heads=2,
            num_layers=2,
            hidden_dim=48,
            context=40,
            depth_dim=16,
            depth_num_heads=2,
            depth_num_layers=1,
            depth_hidden_dim=24,
        )

    def batch(
        self,
        rows: Sequence[Int[Tensor, "k _"]],
        weights: Sequence[Float[Tensor, "k _"]] | None = None,
    ) -> TokenGrid:
        """The delayed grid that `loss` takes, of rows of frames: text, own codes, user's codes.

        `weights` multiply what each cell counts. A row may end in initial tokens, and hold some.
        """
        streams = self.config.streams
        grid = delay(build_grid(rows, streams, weights), streams)
        padding = grid.tokens[:, 0] == self.config.pad_id
        grid.weights[:, 0] *= torch.where(padding, self.config.padding_weight, 1.0)
        return grid

    def embed(self, tokens: Int[Tensor, "b k t"]) -> Float[Tensor, "b t d"]:
        """The sum of the embeddings of each step's tokens."""
        x = self.text_embedding(tokens[:, 0])
        for k, table in enumerate(self.code_embeddings, 1):
            x = x + table(tokens[:, k])
        return cast(Tensor, x)

    def initial(self, batch_size: int) -> Int[Tensor, "b k"]:
        """The tokens that the first step follows."""
        tokens = initial_tokens(self.config.streams).to(self.device)
        return tokens.expand(batch_size, -1)

    def forward(self, tokens: Int[Tensor, "b k t"]) -> MoshiLogits:
        """Scores of every step of a delayed grid, each by the steps before it; the codes of a step
        also by its text and by the codes before them."""
        before = torch.cat([self.initial(len(tokens))[..., None], tokens[..., :-1]], dim=2)
        state = self.states(before)
        return MoshiLogits(self.to_text(state), self.code_logits(state, tokens))

    def states(self, tokens: Int[Tensor, "b k t"]) -> Float[Tensor, "b t d"]:
        """States of the temporal transformer after each step."""
        b, _, t = tokens.shape
        positions = torch.arange(t, device=tokens.device).expand(b, -1)
        fits = t <= self.config.context
        mask = None
        if not fits:
            mask = window_mask(t, self.config.context, tokens.device).expand(b, -1, -1, -1)
        hidden = self.transformer(self.embed(tokens), positions, mask=mask, causal=fits)
        return cast(Tensor, hidden)

    def code_logits(
        self, state: Float[Tensor, "b t d"], tokens: Int[Tensor, "b k t"]
    ) -> Float[Tensor, "b t own c"]:
        """Scores of the own codes of steps whose tokens are known, by the states before them."""
        b, t, _ = state.shape
        if self.depth is None:
            return state.new_zeros(b, t, 0, self.config.codebook_size)
        own = tokens[:, 1 : 1 + self.config.num_codebooks].transpose(1, 2).flatten(0, 1)
        logits = self.depth(state.flatten(0, 1), tokens[:, 0].flatten(), own)
        return cast(Tensor, logits.unflatten(0, (b, t)))

    def loss(self, grid: TokenGrid) -> Float[Tensor, ""]:
        """The mean cross-entropy of the text, and that of the own codes by their weights, added up
        (Defossez et al. 2024, equation 7), nats."""
        return torch.stack(list(self.loss_parts(grid).values())).sum()

    def loss_parts(self, grid: TokenGrid) -> dict[str, Float[Tensor, ""]]:
        """Parts of the loss, by name."""
        logits, own = self(grid.tokens), self.config.num_codebooks
        parts = {"text": weighted_loss(logits.text, grid.tokens[:, 0], grid.weights[:, 0])}
        if own:
            codes = grid.tokens[:, 1 : 1 + own].transpose(1, 2)
            weights = grid.weights[:, 1 : 1 + own].transpose(1, 2)
            parts["codes"] = weighted_loss(logits.codes, codes, weights)
        return parts


def weighted_loss(
    logits: Float[Tensor, "*any v"], targets: Int[Tensor, "*any"], weights: Float[Tensor, "*any"]
) -> Float[Tensor, ""]:
    """Cross-entropy, a mean by the weights; where a weight is 0 the target may be anything."""
    counts = weights > 0
    losses = F.cross_entropy(logits[counts].float(), targets[counts], reduction="none")
    return (losses * weights[counts]).sum() / weights.sum().clamp(min=1e-9)
