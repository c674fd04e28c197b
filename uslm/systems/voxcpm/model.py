"""VoxCPM's network: a language model says what comes, a small diffusion says how it sounds.

    positions   text ids, START | patches of latents, each one vector by the local encoder
    semantic    causal LM of transformers; at patches through the scalar bottleneck
    residual    a LLaMA that sees semantic + patches: what the bottleneck kept back
    patch t     by flow from noise, conditioned on both at t - 1, and on patch t - 1
    stop        from the semantic state at t - 1: whether patch t is the last

The published one reads MiniCPM-4 0.5B; ours reads whatever its config describes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from uslm.generate.flow import RectifiedFlow
from uslm.systems.voxcpm.local import LocalDecoder, LocalEncoder
from uslm.systems.voxcpm.stacks import StackConfig, causal_lm, causally, llama, load_causal_lm
from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.hub import PretrainedModel
from uslm_tokenizer.nn.padding import pad_right
from uslm_tokenizer.quantize.scalar_bottleneck import ScalarBottleneck


def minicpm_shape() -> dict[str, Any]:
    """The language model of VoxCPM-0.5B, but for its rotary factors: MiniCPM-4 is a LLaMA."""
    return {
        "model_type": "llama", "vocab_size": 73_448, "hidden_size": 1024,
        "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
        "num_key_value_heads": 2, "rms_norm_eps": 1e-5, "max_position_embeddings": 32_768,
    }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class VoxCPMConfig:
    """Sizes of a VoxCPM, and how it is trained."""

    lm: dict[str, Any] = field(default_factory=minicpm_shape)
    """The language model, as transformers describes it."""
    start_id: int = 101
    """Text id that stands between text and speech."""
    latent_dim: int = 64
    """Values of one frame of the codec."""
    patch_size: int = 2
    """Frames of one patch, which is one position."""
    bottleneck_dim: int = 256
    """Channels of the scalar bottleneck."""
    bottleneck_scale: int | None = 9
    """Each takes one of 2 scale + 1 values; None: any value, and nothing is kept back."""
    residual: StackConfig = field(default_factory=lambda: StackConfig(num_layers=6))
    """The residual language model; as wide as the language model."""
    encoder: StackConfig = field(default_factory=StackConfig)
    """What encodes a patch."""
    decoder: StackConfig = field(default_factory=StackConfig)
    """What makes one."""
    drop_rate: float = 0.1
    """Share of training patches without condition, for guidance; 0: it cannot be guided."""
    noise_mean: float = -0.4
    """Of the logit of the share of noise in training, a normal distribution of deviation 1."""
    stop_weight: float = 1.0
    """Of the stop head's loss beside the flow's."""

    def __post_init__(self) -> None:
        if not 0 <= self.drop_rate < 1:
            raise ConfigError(f"drop_rate must be in [0, 1), but is {self.drop_rate}")
        for name in ("latent_dim", "patch_size", "bottleneck_dim"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be 1 or more, but is {getattr(self, name)}")


@dataclass
class VoxBatch:
    """Rows of text, then patches, padded at the right."""

    text_ids: Int[Tensor, "b l"]
    """0 where there is no text."""
    patches: Float[Tensor, "b l p c"]
    """Zeros where there are no patches."""
    is_patch: Bool[Tensor, "b l"]
    is_last: Bool[Tensor, "b l"]
    """The last patch of each row."""

    def to(self, device: torch.device) -> "VoxBatch":
        """The same on another device."""
        return VoxBatch(**{name: part.to(device) for name, part in vars(self).items()})


@dataclass
class VoxHidden:
    """Hidden states of the language models at each position, for the one after it."""

    semantic: Float[Tensor, "b l d"]
    """At patches, what came through the bottleneck."""
    residual: Float[Tensor, "b l d"]
    raw: Float[Tensor, "b l d"]
    """Of the language model alone, before the bottleneck."""


@dataclass
class VoxLosses:
    """Losses of a pass, means over patches."""

    flow: Float[Tensor, ""]
    stop: Float[Tensor, ""]
    total: Float[Tensor, ""]


class VoxCPM(PretrainedModel):
    """Text and the patches so far -> what the next patch is made from."""

    model_type: ClassVar[str] = "voxcpm"
    config_class: ClassVar[type] = VoxCPMConfig
    config: VoxCPMConfig

    def __init__(self, config: VoxCPMConfig) -> None:
        super().__init__(config)
        self.lm = causal_lm(config.lm)
        table = self.lm.get_input_embeddings()
        self.text_vocab_size, dim = int(table.num_embeddings), int(table.embedding_dim)
        if config.residual.dim != dim:
            raise ConfigError(
                f"residual.dim must be {dim}, as wide as the language model, but is "
                f"{config.residual.dim}"
            )
        if not 0 <= config.start_id < self.text_vocab_size:
            raise ConfigError(
                f"start_id must be below {self.text_vocab_size}, the ids of the language model, "
                f"but is {config.start_id}"
            )
        wide, narrow = config.encoder.dim, config.decoder.dim
        self.bottleneck = ScalarBottleneck(dim, config.bottleneck_dim, config.bottleneck_scale)
        self.residual_lm = llama(config.residual)
        self.encoder = LocalEncoder(config.encoder, config.latent_dim)
        self.decoder = LocalDecoder(config.decoder, config.latent_dim)
        self.to_lm = nn.Linear(wide, dim)
        self.semantic_to_decoder = nn.Linear(dim, narrow)
        self.residual_to_decoder = nn.Linear(dim, narrow)
        self.to_stop = nn.Sequential(nn.Linear(dim, dim), nn.SiLU(), nn.Linear(dim, 2, bias=False))

    @classmethod
    def from_causal_lm(cls, name_or_path: str, config: VoxCPMConfig) -> "VoxCPM":
        """One whose language model begins with pretrained weights; `config` says all but `lm`."""
        shape, body = load_causal_lm(name_or_path)
        model = cls(replace(config, lm=shape))
        model.lm.load_state_dict(body.state_dict())
        return model

    @classmethod
    def tiny_config(cls) -> VoxCPMConfig:
        """A config that builds in milliseconds, for tests and examples."""
        small = StackConfig(dim=32, hidden_dim=64, num_heads=2, num_kv_heads=1, num_layers=2)
        lm = {
            "model_type": "llama", "vocab_size": 64, "hidden_size": 32, "intermediate_size": 64,
            "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
            "max_position_embeddings": 512, "bos_token_id": None, "eos_token_id": None,
        }  # fmt: skip
        return VoxCPMConfig(
            lm=lm, start_id=63, latent_dim=6, bottleneck_dim=8, residual=small, encoder=small,
            decoder=small,
        )  # fmt: skip

    # ---- positions

    def batch(
        self, texts: Sequence[Int[Tensor, " _"]], patches: Sequence[Float[Tensor, "_ p c"]]
    ) -> VoxBatch:
        """Each text with all the patches that say it; UserError for latents of another codec."""
        rows: list[tuple[Tensor, ...]] = []
        for text, speech in zip(texts, patches, strict=True):
            self.check_patches(speech)
            ids = self._with_start(text)
            before = speech.new_zeros(len(ids), *speech.shape[1:])
            is_patch = torch.cat([torch.zeros(len(ids)), torch.ones(len(speech))]).bool()
            last = torch.zeros_like(is_patch)
            last[-1] = True
            rows.append((F.pad(ids, (0, len(speech))), torch.cat([before, speech]), is_patch, last))
        ids, speech, is_patch, is_last = (pad_right(part)[0] for part in zip(*rows, strict=True))
        return VoxBatch(ids, speech, is_patch, is_last)

    def check_patches(self, patches: Tensor) -> None:
        """Raise UserError unless these are patches of the codec that the model was made for."""
        wanted = [self.config.patch_size, self.config.latent_dim]
        if patches.ndim != 3 or list(patches.shape[1:]) != wanted:
            raise UserError(
                f"patches must be [n, {wanted[0]}, {wanted[1]}]: {wanted[0]} frames of a codec of "
                f"{wanted[1]} latents, but are {list(patches.shape)}"
            )

    def embed_text(self, ids: Int[Tensor, "b l"]) -> Float[Tensor, "b l d"]:
        """Vectors of text ids."""
        return cast(Tensor, self.lm.get_input_embeddings()(ids))

    def embed_patches(self, patches: Float[Tensor, "n p c"]) -> Float[Tensor, "n d"]:
        """Vectors of patches."""
        return cast(Tensor, self.to_lm(self.encoder(patches.to(self.dtype))))

    def _with_start(self, text: Int[Tensor, " s"]) -> Int[Tensor, " l"]:
        return torch.cat([text.cpu().long(), torch.tensor([self.config.start_id])])

    # ---- training

    def hidden(self, batch: VoxBatch) -> VoxHidden:
        """Hidden states of whole rows."""
        is_patch = batch.is_patch[..., None]
        speech = torch.zeros_like(self.embed_text(batch.text_ids))
        speech[batch.is_patch] = self.embed_patches(batch.patches[batch.is_patch]).to(speech)
        raw = causally(self.lm, torch.where(is_patch, speech, self.embed_text(batch.text_ids)))
        semantic = torch.where(is_patch, self.bottleneck(raw), raw)
        residual = causally(self.residual_lm, semantic + speech)
        return VoxHidden(semantic, residual, raw)

    def condition(
        self, semantic: Float[Tensor, "*n d"], residual: Float[Tensor, "*n d"]
    ) -> Float[Tensor, "*n e"]:
        """Condition that a patch is made from."""
        found: Tensor = self.semantic_to_decoder(semantic) + self.residual_to_decoder(residual)
        return found

    def forward(self, batch: VoxBatch) -> Float[Tensor, "n e"]:
        """The condition of each patch of each row, one after the other."""
        hidden = self.hidden(batch)
        before = batch.is_patch[:, 1:]
        return self.condition(hidden.semantic[:, :-1][before], hidden.residual[:, :-1][before])

    def losses(self, batch: VoxBatch, generator: torch.Generator | None = None) -> VoxLosses:
        """Mean squared error of the direction, and the stop head's cross-entropy; `generator`
        draws the noise, its share, and the patches that go without a condition."""
        hidden, at = self.hidden(batch), batch.is_patch[:, 1:]
        semantic, residual = hidden.semantic[:, :-1][at], hidden.residual[:, :-1][at]
        target, previous = batch.patches[:, 1:][at], batch.patches[:, :-1][at]
        device = target.device if generator is None else generator.device

        def normal(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator, device=device).to(target)

        n, path = len(target), RectifiedFlow()
        noise = normal(*target.shape)
        place = 1 - (normal(n) + self.config.noise_mean).sigmoid()
        kept = torch.rand(n, generator=generator, device=device).to(target) >= self.config.drop_rate
        condition = self.condition(semantic, residual) * kept[:, None]
        at_place = place[:, None].expand(target.shape[:2])
        found = self.decoder(path.mix(target, noise, at_place), place, condition, previous)
        flow = F.mse_loss(found.float(), path.direction(target, noise, at_place).float())
        stop = F.cross_entropy(self.to_stop(semantic).float(), batch.is_last[:, 1:][at].long())
        return VoxLosses(flow, stop, flow + self.config.stop_weight * stop)
