"""LST: patches of speech for a global language model, units for a local one.

Lu et al. 2025 (Latent Speech-Text Transformer, arXiv 2510.06195). Units go through a small encoder
and are pooled, a patch at a time; a large causal transformer reads patches and text; a decoder
predicts unit after unit, from those in its window and from the patches that are whole:

    tokens     s u u u u u u u u t x x e     s, t: speech or text begins; e: the end
    patches    0 1 1 1 1 2 2 2 2 3 4 5 6     text and marks are patches of one
    decoder    token i looks at tokens up to i, and at the patches that are whole there

With patches of one unit it is a plain language model, read by the same code.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from uslm.models.spans import Span
from uslm.models.speech_lm import SpeechLM, SpeechTextBatch
from uslm.models.teacher_forcing import NOT_PREDICTED
from uslm.systems.lst.cost import patch_lm_flops
from uslm.systems.lst.layers import CrossAttention
from uslm.systems.lst.rows import make_batch
from uslm.systems.lst.state import PatchState
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.nn.transformer import Transformer, window_mask
from uslm_tokenizer.sequence.bpe import AcousticBPE, AcousticBPEConfig


@dataclass(frozen=True, kw_only=True)
class PatchLMConfig:
    """Sizes of a PatchLM."""

    codebook_size: int = 1024
    """Number of different units."""
    text_vocab_size: int = 53
    """Number of different text ids."""
    patch_size: int = 4
    """Units of a patch where nothing else is said; 1 is a plain language model."""
    local_dim: int = 192
    """Width of encoder and decoder."""
    local_heads: int = 3
    """Their attention heads."""
    num_encoder_layers: int = 1
    """Layers that read units before they are pooled."""
    num_decoder_layers: int = 2
    """Layers that predict units."""
    window: int = 64
    """Tokens that a layer of encoder or decoder sees, itself included."""
    dim: int = 384
    """Width of the global transformer."""
    num_heads: int = 6
    """Its attention heads."""
    num_layers: int = 6
    """Its layers."""
    use_global: bool = True
    """Whether the decoder sees the global transformer; False is a control."""
    dropout: float = 0.0
    """Share of activations dropped in training."""
    merges: tuple[tuple[int, int], ...] = ()
    """Pairs of units that it reads as one token, see `AcousticBPE`; none: units as they are."""
    tokenizer: str = ""
    """Hash of the tokenizer whose units it was trained on."""

    def __post_init__(self) -> None:
        for name in ("codebook_size", "patch_size", "window", "num_encoder_layers",
                     "num_decoder_layers", "num_layers"):  # fmt: skip
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, but is {getattr(self, name)}")

    @property
    def num_ids(self) -> int:
        """Units, merged ones, text ids, and three marks."""
        return self.codebook_size + len(self.merges) + self.text_vocab_size + 3


class PatchLM(SpeechLM):
    """Speech in patches and text -> what follows."""

    model_type: ClassVar[str] = "patch_lm"
    config_class: ClassVar[type] = PatchLMConfig
    config: PatchLMConfig

    def __init__(self, config: PatchLMConfig) -> None:
        super().__init__(config)
        self.bpe = AcousticBPE(
            AcousticBPEConfig(num_units=config.codebook_size, merges=config.merges)
        )
        first = self.bpe.vocab_size + config.text_vocab_size
        self.speech_id, self.text_id, self._end_id = range(first, first + 3)
        self.embedding = nn.Embedding(config.num_ids, config.local_dim)
        self.encoder = Transformer(
            config.local_dim, config.local_heads, config.num_encoder_layers, dropout=config.dropout
        )
        self.pool = CrossAttention(config.local_dim, config.local_dim, config.local_heads)
        self.to_global = nn.Linear(config.local_dim, config.dim, bias=False)
        self.transformer = Transformer(
            config.dim, config.num_heads, config.num_layers, dropout=config.dropout
        )
        self.null_patch = nn.Parameter(torch.zeros(config.dim))
        self.decoder = Transformer(
            config.local_dim, config.local_heads, config.num_decoder_layers, dropout=config.dropout
        )
        self.look = nn.ModuleList(
            CrossAttention(config.local_dim, config.dim, config.local_heads)
            for _ in range(config.num_decoder_layers)
        )
        self.to_logits = nn.Linear(config.local_dim, config.num_ids, bias=False)
        self.apply(_initialize)

    @property
    def codebook_size(self) -> int:
        return self.config.codebook_size

    @property
    def num_speech_tokens(self) -> int:
        return self.bpe.vocab_size

    @property
    def tokenizer_hash(self) -> str:
        return self.config.tokenizer

    def spell(self, tokens: Int[Tensor, " t"]) -> Int[Tensor, " n"]:
        return self.bpe.decode(tokens)

    @property
    def text_vocab_size(self) -> int:
        return self.config.text_vocab_size

    @property
    def end_id(self) -> int:
        return self._end_id

    @classmethod
    def tiny_config(cls) -> PatchLMConfig:
        return PatchLMConfig(
            codebook_size=32,
            patch_size=3,
            local_dim=16,
            local_heads=2,
            window=5,
            dim=32,
            num_heads=2,
            num_layers=2,
        )

    def batch(
        self, rows: Sequence[Sequence[Span]], predict_from: Sequence[int] | None = None
    ) -> SpeechTextBatch:
        return make_batch(self, rows, predict_from)

    def forward(
        self, tokens: Int[Tensor, "b l"], patches: Int[Tensor, "b l"]
    ) -> Float[Tensor, "b l v"]:
        """Logits after every token; `patches` as in a SpeechTextBatch."""
        window, real = self.config.window, patches >= 0
        x = self.embedding(tokens)
        positions = torch.arange(tokens.shape[1], device=x.device).expand(len(x), -1)
        num_patches = int(patches.max()) + 1
        numbers = torch.arange(num_patches, device=x.device)
        members = patches[:, None] == numbers[:, None]  # b p l
        near = window_mask(tokens.shape[1], window, x.device).expand(len(x), -1, -1, -1)
        encoded = self.encoder(x, positions, mask=near)
        memory = self._global(self._pooled(encoded, members), members.any(2))
        ends = members.long().mul(positions[:, None] + 1).amax(2) - 1
        # A patch is whole at its last token where that can be known: a full one, or no speech. Of
        # another length it is where the next one begins; to tell before would tell what follows.
        is_speech = (members & (tokens < self.num_speech_tokens)[:, None]).any(2)
        late = is_speech & (members.sum(2) != self.config.patch_size)
        whole = (ends + late)[:, None] <= positions[..., None]
        whole = whole & members.any(2)[:, None]
        null_patch = self.null_patch.expand(len(x), 1, -1)
        seen = torch.cat([torch.ones_like(whole[..., :1]), whole], dim=2)
        if not self.config.use_global:
            seen = torch.cat([seen[..., :1], torch.zeros_like(whole)], dim=2)
        after = self.looking(torch.cat([null_patch, memory], dim=1), seen)
        hidden = self.decoder(x * real[..., None], positions, mask=near, after_layer=after)
        return cast(Tensor, self.to_logits(hidden))

    def looking(
        self, memory: Float[Tensor, "b m e"], seen: Bool[Tensor, "b t m"]
    ) -> Callable[[int, Tensor], Tensor]:
        """Step after each layer of the decoder: a look at the patches that are seen."""
        return lambda layer, x: cast(Tensor, self.look[layer](x, memory, seen))

    def token_losses(self, batch: SpeechTextBatch) -> Float[Tensor, "b l"]:
        logits = self(batch.tokens, batch.patches).float()
        return F.cross_entropy(
            logits.transpose(1, 2), batch.targets, ignore_index=NOT_PREDICTED, reduction="none"
        )

    @torch.no_grad()
    def begin(
        self, row: Sequence[Span], kind: Literal["speech", "text"]
    ) -> tuple[PatchState, Float[Tensor, " v"]]:
        """As of any SpeechLM; a prompt's open patch stays open where speech goes on."""
        rows = make_batch(self, [row], whole=False)
        state = PatchState.empty(self)
        logits = self.to_logits.weight.new_zeros(self.config.num_ids)
        tokens = rows.tokens[0].tolist()
        last = row[-1].kind if row else None
        if last != kind:
            tokens.append(self.speech_id if kind == "speech" else self.text_id)
        patches = rows.patches[0].tolist()
        for place, token in enumerate(tokens):
            begins = None
            if 0 < place < len(patches):
                begins = patches[place] != patches[place - 1]
            goes_on = place + 1 < len(patches) and patches[place + 1] == patches[place]
            logits = state.read(self, token, begins=begins, goes_on=goes_on)
        return state, logits

    @torch.no_grad()
    def step(self, token: int, state: PatchState) -> Float[Tensor, " v"]:
        return state.read(self, token)

    def forward_flops(self, num_tokens: int, num_patches: int) -> float:
        return patch_lm_flops(self.config, num_tokens, num_patches)

    def _pooled(
        self, encoded: Float[Tensor, "b l d"], members: Bool[Tensor, "b p l"]
    ) -> Float[Tensor, "b p d"]:
        """One vector for each patch: the mean of its tokens looks at them."""
        share = members.to(encoded.dtype)
        mean = share @ encoded / share.sum(2, keepdim=True).clamp(min=1)
        # A patch that is not there looks anywhere; nobody reads what comes of it.
        return cast(Tensor, self.pool(mean, encoded, members | ~members.any(2, keepdim=True)))

    def _global(
        self, pooled: Float[Tensor, "b p d"], real: Bool[Tensor, "b p"]
    ) -> Float[Tensor, "b p e"]:
        x = self.to_global(pooled)
        positions = torch.arange(x.shape[1], device=x.device).expand(len(x), -1)
        return cast(Tensor, self.transformer(x * real[..., None], positions, causal=True))


def _initialize(module: nn.Module) -> None:
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, std=0.02)
