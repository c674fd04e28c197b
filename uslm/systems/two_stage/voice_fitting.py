"""Fitting a voice to its own prompt: the halves of the prompt predict each other.

The prompt's memory shows stage 2 single sounds; what holds for the whole voice comes to it through
one pooled vector, which a network had to guess from a few seconds. Some steps of gradient on that
vector, and on an offset of the output, bring the voice nearer; no weight of the model changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Int
from torch import Tensor

from uslm.models.base import AcousticRow, VoiceFit
from uslm.systems.two_stage.conv_regressor import ConvRegressor
from uslm_tokenizer.errors import ConfigError

MIN_FRAMES = 100
"""A shorter prompt is not fitted: its halves say too little of each other."""


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """Settings of the fitting of a voice when it is made."""

    steps: int = 0
    """Steps of gradient; 0 fits nothing."""
    learning_rate: float = 0.02
    """Of the pooled voice; the output's offset moves at 0.3 of it."""
    pooled_penalty: float = 1e-3
    """Weight of the shift's mean square in the loss."""
    output_penalty: float = 1e-2
    """The same of the offset."""

    def __post_init__(self) -> None:
        if self.steps < 0 or not self.learning_rate > 0:
            raise ConfigError(f"steps must be 0 or more and learning_rate above 0: {self}")


def fit_voice(
    model: ConvRegressor,
    prompt: Int[Tensor, "k p"],
    spoken: Int[Tensor, " p"] | None,
    config: FitConfig,
) -> VoiceFit | None:
    """Parameters fitted to `prompt` beyond what the model sees in it; None if it is not to be
    fitted."""
    if not config.steps or prompt.shape[1] < MIN_FRAMES:
        return None
    # Voices are made by threads that do without gradients.
    with torch.inference_mode(False), torch.enable_grad():
        return _fitted(model, _halves(prompt.clone(), spoken), config)


def _halves(prompt: Int[Tensor, "k p"], spoken: Int[Tensor, " p"] | None) -> list[AcousticRow]:
    """Each half of the prompt, to be filled with the other one as the prompt."""
    middle = prompt.shape[1] // 2
    halves = [prompt[:, :middle], prompt[:, middle:]]
    said = [None, None] if spoken is None else [spoken[:middle], spoken[middle:]]
    return [
        AcousticRow(
            prompt=halves[1 - i],
            codes=halves[i],
            prompt_spoken=said[1 - i],
            text_ids=said[i],
            text_positions=None if said[i] is None else torch.arange(halves[i].shape[1]),
        )
        for i in (0, 1)
    ]


def _fitted(model: ConvRegressor, rows: Sequence[AcousticRow], config: FitConfig) -> VoiceFit:
    batch = model.batch(rows)
    with torch.no_grad():
        memory = model.read_prompts(batch)  # it holds the pooled voice, which alone is shifted
    pooled = torch.zeros(model.config.dim, device=model.device, requires_grad=True)
    output = torch.zeros(model.config.latent_dim, device=model.device, requires_grad=True)
    optimizer = torch.optim.Adam(
        [
            {"params": [pooled], "lr": config.learning_rate},
            {"params": [output], "lr": 0.3 * config.learning_rate},
        ]
    )
    weight = model.from_latents.weight.dtype
    for _ in range(config.steps):
        shifted = replace(memory, pooled=memory.pooled + pooled.to(weight))
        predicted = model(replace(batch, memory=shifted, output_shift=output.expand(2, -1)))
        loss = model.loss(batch, predicted)
        loss = loss + config.pooled_penalty * pooled.square().mean()
        loss = loss + config.output_penalty * output.square().mean()
        # By name: the model's weights must not gather gradients.
        pooled.grad, output.grad = torch.autograd.grad(loss, [pooled, output])
        optimizer.step()
    return VoiceFit(pooled.detach().cpu(), output.detach().cpu())
