"""Stage 2 by convolutions: what is said and how high -> the decoder's latents, in a given voice.

    prompt: latents, units, pitch, symbols --> conv blocks --+--> pooled voice (FiLM)
                                                             +--> memory (cross-attention, copying)
    frames: unit, symbol, pitch (and latents, where known) --> conv blocks --> latents --> codes

Convolutions see some 30 frames to each side and run near a processor's peak, where attention over
all frames takes more than half of a step. What has to be looked for is in the prompt: frames
attend to it, and may copy its latents, as in `AcousticRegressor`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from uslm.models.base import AcousticRow, VectorModel, VoiceFit
from uslm.models.voice_memory import VoiceMemory
from uslm.systems.two_stage.contrast import with_contrast
from uslm.systems.two_stage.regressor import CopyAttention
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.nn.padding import pad_right

UNIT, PITCH, FIRST_RESIDUAL = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class ConvRegressorConfig:
    """Sizes of a ConvRegressor."""

    text_vocab_size: int = 53
    """Text ids run from 0 to this, exclusive."""
    num_codebooks: int = 10
    """Codes in one frame: the unit, the pitch, and residual codebooks."""
    codebook_size: int = 1024
    """Entries of each codebook."""
    num_pitches: int = 78
    """Different pitches; 0 is unvoiced."""
    latent_dim: int = 128
    """Width of the decoder's input."""
    dim: int = 320
    """Width of the network."""
    num_heads: int = 5
    """Attention heads, and ways to copy."""
    num_layers: int = 9
    """Conv blocks."""
    num_prompt_layers: int = 4
    """Conv blocks that read the prompt."""
    kernel_size: int = 7
    """Frames that a block's convolution sees."""
    attention_every: int = 3
    """The second of every so many blocks is followed by attention to the prompt."""
    unit_weight: float = 1.0
    """Of two predictions, one that is given the units and one that does without them, the weight of
    the first, in frames whose symbol is known; 1 makes only the first. Units that stage 1 draws
    are wrong at times, where symbols are right."""
    contrast: float = 1.0
    """What multiplies the peaks and valleys of each predicted spectrum; 1: as they are predicted,
    flatter than those of speech."""
    frames_per_latent: int = 2
    """Log-mel frames of which a latent is made, one after the other; only the contrast asks."""

    def __post_init__(self) -> None:
        if not self.contrast > 0:
            raise ConfigError(f"contrast must be above 0, but is {self.contrast:g}")
        if self.frames_per_latent < 1 or self.latent_dim % self.frames_per_latent:
            raise ConfigError(
                f"frames_per_latent must divide latent_dim, {self.latent_dim}, "
                f"but is {self.frames_per_latent}"
            )

    @property
    def attending(self) -> tuple[int, ...]:
        """Blocks that are followed by attention."""
        return tuple(range(1, self.num_layers, self.attention_every))


@dataclass
class VoicedBatch:
    """Frames to fill, padded at the right, and the voices to fill them in."""

    codes: Int[Tensor, "b k t"]
    """Context and target frames; of the latter units and pitches only are looked at."""
    frame_mask: Bool[Tensor, "b t"]
    is_target: Bool[Tensor, "b t"]
    spoken_ids: Int[Tensor, "b t"]
    """Text id of the symbol that each frame is of; -1 where it is not known."""
    prompts: Int[Tensor, "b k p"]
    prompt_mask: Bool[Tensor, "b p"]
    prompt_spoken_ids: Int[Tensor, "b p"]
    """As `spoken_ids`, of the prompts."""
    pooled_shift: Float[Tensor, "b #d"]
    """What is added to the pooled voice; zero where nothing was fitted."""
    output_shift: Float[Tensor, "b #e"]
    """What is added to each frame's latents."""
    memory: VoiceMemory | None = None
    """What was made of the prompts before, if it was kept."""

    def to(self, device: torch.device) -> "VoicedBatch":
        """The same on another device; a memory is made anew there."""
        tensors = {name: each.to(device) for name, each in vars(self).items() if name != "memory"}
        return replace(self, **tensors, memory=None)


class ConvRegressor(VectorModel):
    """Units, pitches, symbols and a prompt -> the decoder's latents, and so the codes."""

    model_type: ClassVar[str] = "conv_regressor"
    config_class: ClassVar[type] = ConvRegressorConfig
    num_given_codebooks: ClassVar[int] = FIRST_RESIDUAL
    config: ConvRegressorConfig

    def __init__(self, config: ConvRegressorConfig) -> None:
        super().__init__(config)
        dim, width, kernel = config.dim, config.latent_dim, config.kernel_size
        codebooks = config.num_codebooks - FIRST_RESIDUAL
        # What each code of the residual codebooks adds to the latents; of the codec.
        self.register_buffer("vectors", torch.randn(codebooks, config.codebook_size, width))
        self.unit_embedding = nn.Embedding(config.codebook_size + 1, dim)  # the last: not known
        self.spoken_embedding = nn.Embedding(config.text_vocab_size + 1, dim)  # the first: as well
        self.pitch_embedding = nn.Embedding(config.num_pitches, dim)
        self.known_embedding = nn.Embedding(2, dim)
        self.from_latents = nn.Linear(width, dim)
        self.prompt_blocks = nn.ModuleList(
            ConvBlock(dim, kernel, 0) for _ in range(config.num_prompt_layers)
        )
        self.pool = nn.Linear(dim, 1)
        self.blocks = nn.ModuleList(ConvBlock(dim, kernel, dim) for _ in range(config.num_layers))
        self.attention = nn.ModuleDict(
            {str(layer): PromptAttention(dim, config.num_heads) for layer in config.attending}
        )
        self.norm = nn.LayerNorm(dim)
        self.to_latents = nn.Linear(dim, width)
        self.copy_attention = CopyAttention(dim, width, config.num_heads)
        for table in self._embeddings():
            nn.init.normal_(table.weight, std=0.1)
        nn.init.zeros_(self.to_latents.weight)
        nn.init.zeros_(self.to_latents.bias)

    def _embeddings(self) -> tuple[nn.Embedding, ...]:
        units, spoken = self.unit_embedding, self.spoken_embedding
        return units, spoken, self.pitch_embedding, self.known_embedding

    @property
    def num_codebooks(self) -> int:
        return self.config.num_codebooks

    @property
    def hidden_unit(self) -> int:
        """In place of a unit that is not to be seen."""
        return self.config.codebook_size

    @property
    def context_frames(self) -> int:
        """Frames to each side that a frame depends on, beside the prompt's."""
        return self.config.num_layers * (self.config.kernel_size // 2)

    @classmethod
    def tiny_config(cls) -> ConvRegressorConfig:
        return ConvRegressorConfig(
            num_codebooks=5,
            codebook_size=32,
            num_pitches=32,
            latent_dim=24,
            dim=32,
            num_heads=2,
            num_layers=2,
            num_prompt_layers=1,
        )

    @torch.no_grad()
    def learn_vectors(self, vectors: Float[Tensor, "codebooks v e"]) -> None:
        """Take over the codec's vectors."""
        self.vectors.copy_(vectors)

    def batch(self, rows: Sequence[AcousticRow]) -> VoicedBatch:
        return voiced_batch(rows, self.device)

    def remember(self, row: AcousticRow) -> VoiceMemory:
        """The memory of the row's prompt; rows that carry it are filled sooner."""
        with torch.no_grad():
            return self.read_prompts(self.batch([replace(row, memory=None)]))

    def read_prompts(self, batch: VoicedBatch) -> VoiceMemory:
        """The memory that frames attend to and copy from."""
        latents, mask = self.latents_of(batch.prompts), batch.prompt_mask
        x = self.from_latents(latents.to(self.from_latents.weight.dtype))
        x = x + self._said(batch.prompts, batch.prompt_spoken_ids)
        x = x * mask[..., None]
        for block in self.prompt_blocks:
            x = block(x, mask)
        scores = self.pool(x)[..., 0].float().masked_fill(~mask, -1e4)
        shares = (scores.softmax(dim=-1) * mask).to(x.dtype)
        return VoiceMemory(
            pooled=(x * shares[..., None]).sum(dim=1) + batch.pooled_shift.to(x.dtype),
            keys_values=[layer.remember(x) for layer in self._attention_layers()],
            encoded=x,
            latents=latents * mask[..., None],
            mask=mask,
        )

    def forward(
        self, batch: VoicedBatch, num_known: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b t e"]:
        """The predicted latents of each frame; targets show units and pitches only."""
        memory = batch.memory or self.read_prompts(batch)
        mask, known = batch.frame_mask, batch.frame_mask & ~batch.is_target
        x = self._said(batch.codes, batch.spoken_ids) + self.known_embedding(known.long())
        if bool(known.any()):
            known_latents = self.latents_of(batch.codes).to(self.from_latents.weight.dtype)
            x = x + self.from_latents(known_latents * known[..., None])
        else:
            x = x + self.from_latents.bias
        x = x * mask[..., None]
        attended = iter(zip(self._attention_layers(), memory.keys_values, strict=True))
        for layer, block in enumerate(self.blocks):
            x = block(x, mask, memory.pooled)
            if layer in self.config.attending:
                attention, keys_values = next(attended)
                x = attention(x, keys_values, memory.mask)
        hidden = self.norm(x)
        sight = memory.mask[:, None]
        copied = self.copy_attention(hidden, memory.latents, sight, memory.encoded)
        predicted = (self.to_latents(hidden) + copied).float()
        return cast(Tensor, predicted + batch.output_shift[:, None])

    def predict(self, batch: VoicedBatch) -> Float[Tensor, "b t e"]:
        """`forward`, mixed with what is predicted without the units (`unit_weight`), and sharpened
        (`contrast`)."""
        return self.sharpened(self._mixed(batch))

    def sharpened(self, latents: Float[Tensor, "*any e"]) -> Float[Tensor, "*any e"]:
        """Latents with the contrast of the config."""
        contrast, num_frames = self.config.contrast, self.config.frames_per_latent
        return latents if contrast == 1 else with_contrast(latents, contrast, num_frames)

    def _mixed(self, batch: VoicedBatch) -> Float[Tensor, "b t e"]:
        weight, spoken = self.config.unit_weight, batch.spoken_ids >= 0
        conditional = self(batch)
        if weight == 1 or not bool(spoken.any()):
            return cast(Tensor, conditional)
        codes = batch.codes.clone()
        codes[:, UNIT] = torch.where(spoken, self.hidden_unit, codes[:, UNIT])
        without = self(replace(batch, codes=codes))
        return torch.where(
            spoken[..., None], weight * conditional + (1 - weight) * without, conditional
        )

    def loss(
        self, batch: VoicedBatch, predicted: Float[Tensor, "b t e"] | None = None
    ) -> Float[Tensor, ""]:
        """Error of the target frames' latents: squared where it is small, absolute beyond."""
        found = self(batch) if predicted is None else predicted
        wanted = self.latents_of(batch.codes)[batch.is_target]
        return 2 * F.smooth_l1_loss(found[batch.is_target], wanted, beta=0.5)

    def latents_of(self, codes: Int[Tensor, "b k t"]) -> Float[Tensor, "b t e"]:
        """Sum of the vectors of the residual codebooks."""
        total = F.embedding(codes[:, FIRST_RESIDUAL], self.vectors[0])
        for codebook, table in enumerate(self.vectors[1:], start=FIRST_RESIDUAL + 1):
            total = total + F.embedding(codes[:, codebook], table)
        return total.float()

    def _said(
        self, codes: Int[Tensor, "b k t"], spoken_ids: Int[Tensor, "b t"]
    ) -> Float[Tensor, "b t d"]:
        said = self.unit_embedding(codes[:, UNIT]) + self.pitch_embedding(codes[:, PITCH])
        return cast(Tensor, said + self.spoken_embedding(spoken_ids + 1))

    def _attention_layers(self) -> list["PromptAttention"]:
        return [cast(PromptAttention, layer) for layer in self.attention.values()]


class ConvBlock(nn.Module):
    """A depth-wise convolution and a two-layer network per frame, added back. With a condition,
    that scales and shifts what the network reads (FiLM; Perez et al. 2018)."""

    def __init__(self, dim: int, kernel_size: int, condition_dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.depthwise = nn.Conv1d(dim, dim, kernel_size, padding=kernel_size // 2, groups=dim)
        self.up = nn.Linear(dim, 3 * dim)
        self.down = nn.Linear(3 * dim, dim)
        self.film = nn.Linear(condition_dim, 2 * dim) if condition_dim else None
        for layer in (self.down, self.film):  # each block begins as nothing
            if layer is not None:
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(
        self,
        x: Float[Tensor, "b t d"],
        mask: Bool[Tensor, "b t"],
        condition: Float[Tensor, "b c"] | None = None,
    ) -> Float[Tensor, "b t d"]:
        """Frames outside `mask` come in as zeros, and go out so."""
        y = self.depthwise(x.transpose(1, 2)).transpose(1, 2)
        y = F.layer_norm(y, (self.dim,))
        if self.film is not None:
            assert condition is not None
            scale, shift = self.film(condition)[:, None].chunk(2, dim=-1)
            y = y * (1 + scale) + shift
        return cast(Tensor, (x + self.down(F.gelu(self.up(y)))) * mask[..., None])


class PromptAttention(nn.Module):
    """Attention of frames to the prompt's, added back."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm = nn.LayerNorm(dim)
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def remember(self, prompt: Float[Tensor, "b p d"]) -> Float[Tensor, "b 2 h p dh"]:
        """Keys and values of the prompt's frames."""
        pairs: Tensor = self.key_value(prompt).unflatten(-1, (2, self.num_heads, -1))
        return pairs.permute(0, 2, 3, 1, 4)

    def forward(
        self,
        x: Float[Tensor, "b t d"],
        keys_values: Float[Tensor, "b 2 h p dh"],
        mask: Bool[Tensor, "b p"],
    ) -> Float[Tensor, "b t d"]:
        query = self.query(self.norm(x)).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        keys, values = keys_values.unbind(dim=1)
        scores = (query @ keys.transpose(-1, -2)) * query.shape[-1] ** -0.5
        seen = mask[:, None, None]
        # A voice without a prompt is attended to by nobody.
        shares = scores.float().masked_fill(~seen, -1e4).softmax(dim=-1) * seen
        mixed = (shares.to(values.dtype) @ values).transpose(1, 2).flatten(2)
        return cast(Tensor, x + self.out(mixed))


def voiced_batch(rows: Sequence[AcousticRow], device: torch.device) -> VoicedBatch:
    """Rows padded to one length."""
    codes, frame_mask = pad_right([row.codes.cpu().T for row in rows])
    # One frame of padding in any case: a convolution needs some length.
    prompts, prompt_mask = pad_right([row.prompt.cpu().T for row in rows])
    prompts, prompt_mask = F.pad(prompts, (0, 0, 0, 1)), F.pad(prompt_mask, (0, 1))
    targets = [torch.arange(row.codes.shape[1]) >= row.num_context for row in rows]
    spoken = [row.spoken_ids()[row.prompt.shape[1] :] for row in rows]
    prompt_spoken = [F.pad(row.prompt_spoken_ids(), (0, 1), value=-1) for row in rows]
    fits = [row.fit or VoiceFit.none() for row in rows]
    memories = [row.memory for row in rows]
    whole = [each for each in memories if each is not None]
    return VoicedBatch(
        codes=codes.transpose(1, 2).to(device),
        frame_mask=frame_mask.to(device),
        is_target=pad_right(targets)[0].to(device),
        spoken_ids=pad_right(spoken, -1)[0].to(device),
        prompts=prompts.transpose(1, 2).to(device),
        prompt_mask=prompt_mask.to(device),
        prompt_spoken_ids=pad_right(prompt_spoken, -1)[0].to(device),
        pooled_shift=_stacked([fit.pooled for fit in fits]).to(device),
        output_shift=_stacked([fit.output for fit in fits]).to(device),
        memory=VoiceMemory.together(whole) if len(whole) == len(rows) else None,
    )


def _stacked(vectors: Sequence[Float[Tensor, " _"]]) -> Float[Tensor, "b d"]:
    """Vectors of one length; shorter ones, of a single zero, count as zeros of that length."""
    longest = max(len(vector) for vector in vectors)
    return torch.stack([vector.expand(longest).float() for vector in vectors])
