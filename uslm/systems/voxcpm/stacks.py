"""Transformers of VoxCPM: the causal language model of transformers, and LLaMAs beside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from uslm_tokenizer.environment import check_torchaudio
from uslm_tokenizer.errors import ConfigError, MissingResource
from uslm_tokenizer.transformers_package import import_transformers, network_shape

NEED = "VoxCPM needs"
LONGEST = 32_768
"""Positions that the stacks may have; rotary positions take no memory for them."""


@dataclass(frozen=True, kw_only=True)
class StackConfig:
    """Sizes of a LLaMA."""

    dim: int = 1024
    """Width."""
    hidden_dim: int = 4096
    """Width inside the feed-forward layers."""
    num_heads: int = 16
    """Attention heads of each layer."""
    num_kv_heads: int = 2
    """Heads of keys and values, each of which several heads share."""
    num_layers: int = 4
    """Layers."""
    epsilon: float = 1e-5
    """What its norms add to the mean square."""
    rope_factors: tuple[float, ...] = ()
    """What each rotary frequency is divided by (LongRoPE, Ding et al. 2024); empty: by 1."""
    rope_scale: float = 1.0
    """What queries and keys are multiplied by where there are such factors."""

    def __post_init__(self) -> None:
        if self.dim % self.num_heads or self.num_heads % self.num_kv_heads:
            raise ConfigError(
                "dim must be a multiple of num_heads, and that of num_kv_heads, but they are "
                f"{self.dim}, {self.num_heads} and {self.num_kv_heads}"
            )
        half = self.dim // self.num_heads // 2
        if self.rope_factors and len(self.rope_factors) != half:
            raise ConfigError(
                f"rope_factors must be {half}, half a head, but are {len(self.rope_factors)}"
            )


def causal_lm(config: Mapping[str, Any]) -> Any:
    """The body of a causal language model with random weights: embeddings in, hidden states out."""
    if "model_type" not in config:
        raise ConfigError(f"a language model needs a model_type, but has {sorted(config)}")
    transformers = import_transformers(NEED)
    check_torchaudio()
    options = {key: value for key, value in config.items() if key != "model_type"}
    try:
        found = transformers.AutoConfig.for_model(str(config["model_type"]), **options)
    except (ValueError, TypeError) as problem:
        reason = str(problem).strip().splitlines()[0]
        raise ConfigError(f"not a config of a language model: {reason}") from problem
    return transformers.AutoModel.from_config(found)


def load_causal_lm(name_or_path: str) -> tuple[dict[str, Any], Any]:
    """Config and body of a pretrained causal language model: a folder, or a model of the Hub."""
    transformers = import_transformers(NEED)
    check_torchaudio()
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(name_or_path, dtype=torch.float32)
    except (OSError, ValueError) as problem:
        reason = str(problem).strip().splitlines()[0]
        raise MissingResource(
            f"no causal language model at {name_or_path!r}: {reason}"
        ) from problem
    shape = {"model_type": model.config.model_type} | network_shape(model.config)
    return shape, model.base_model


def llama(config: StackConfig) -> Any:
    """A LLaMA that takes vectors, not ids."""
    transformers = import_transformers(NEED)
    check_torchaudio()
    rope: dict[str, Any] = {"rope_type": "default"}
    if config.rope_factors:
        factors = list(config.rope_factors)
        rope = {
            "rope_type": "longrope", "short_factor": factors, "long_factor": factors,
            "factor": 1.0, "original_max_position_embeddings": LONGEST,
            "attention_factor": config.rope_scale,
        }  # fmt: skip
    body = transformers.LlamaModel(
        transformers.LlamaConfig(
            vocab_size=1, bos_token_id=None, eos_token_id=None,
            hidden_size=config.dim, intermediate_size=config.hidden_dim,
            num_hidden_layers=config.num_layers, num_attention_heads=config.num_heads,
            num_key_value_heads=config.num_kv_heads, rms_norm_eps=config.epsilon,
            max_position_embeddings=LONGEST, rope_theta=10_000.0, rope_scaling=rope,
            attention_dropout=0.0,
        )
    )  # fmt: skip
    body.embed_tokens = nn.Identity()
    return body


def both_sides(body: Any, x: Float[Tensor, "n l d"]) -> Float[Tensor, "n l d"]:
    """Hidden states of a LLaMA in which every place sees every other."""
    open_mask = x.new_zeros(1, 1, x.shape[1], x.shape[1])
    found: Tensor = body(
        inputs_embeds=x, attention_mask=open_mask, use_cache=False
    ).last_hidden_state
    return found


def causally(body: Any, x: Float[Tensor, "b l d"]) -> Float[Tensor, "b l d"]:
    """Hidden states that see what was before; whole rows, with padding at the right."""
    found: Tensor = body(inputs_embeds=x, use_cache=False).last_hidden_state
    return found


def go_on(body: Any, x: Float[Tensor, "1 l d"], cache: Any) -> tuple[Float[Tensor, "1 l d"], Any]:
    """Hidden states of the next places of a row, and the cache that knows them; None before."""
    out = body(inputs_embeds=x, past_key_values=cache, use_cache=True)
    return out.last_hidden_state, out.past_key_values
