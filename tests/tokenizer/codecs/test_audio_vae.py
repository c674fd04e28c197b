"""AudioVAE: the published network by hand, its checkpoint at its full size, its stream."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from uslm_tokenizer.codecs.audio_vae.checkpoint import AUDIO_VAE, read_config
from uslm_tokenizer.codecs.audio_vae.model import AudioVAE, AudioVAEConfig
from uslm_tokenizer.errors import CheckpointError, ConfigError
from uslm_tokenizer.pretrained.key_mapping import convert, load_pretrained
from uslm_tokenizer.pretrained.mappings import recognise
from uslm_tokenizer.registry import PRETRAINED

SMALL = {
    "encoder_dim": 4, "encoder_rates": [2, 5, 4], "latent_dim": 6, "decoder_dim": 32,
    "decoder_rates": [4, 5, 2], "depthwise": True, "sample_rate": 16000,
}  # fmt: skip


class Reference:
    """The published network from its description: shapes of all tensors by their published names,
    and what it computes of them, one plain operation after the other."""

    def __init__(self, **config: object) -> None:
        self.config = SMALL | config
        self.shapes: dict[str, tuple[int, ...]] = {}
        c = self.config
        self.depthwise = bool(c["depthwise"])
        dim = int(c["encoder_dim"])
        self._conv("encoder.block.0", dim, 1, 7)
        for i, stride in enumerate(c["encoder_rates"], start=1):
            self._units(f"encoder.block.{i}.block", 0, dim)
            self.shapes[f"encoder.block.{i}.block.3.alpha"] = (1, dim, 1)
            self._conv(f"encoder.block.{i}.block.4", 2 * dim, dim, 2 * stride)
            dim *= 2
        for head in ("fc_mu", "fc_logvar"):
            self._conv(f"encoder.{head}", c["latent_dim"], dim, 3)
        dim, latent = int(c["decoder_dim"]), int(c["latent_dim"])
        if self.depthwise:
            self._conv("decoder.model.0", latent, 1, 7)
            self._conv("decoder.model.1", dim, latent, 1)
        else:
            self._conv("decoder.model.0", dim, latent, 7)
        self.first = 2 if self.depthwise else 1
        for i, stride in enumerate(c["decoder_rates"], start=self.first):
            self.shapes[f"decoder.model.{i}.block.0.alpha"] = (1, dim, 1)
            self._conv(f"decoder.model.{i}.block.1", dim, dim // 2, 2 * stride, out=dim // 2)
            dim //= 2
            self._units(f"decoder.model.{i}.block", 2, dim)
        self.last = self.first + len(c["decoder_rates"])
        self.shapes[f"decoder.model.{self.last}.alpha"] = (1, dim, 1)
        self._conv(f"decoder.model.{self.last + 1}", 1, dim, 7)

    def _conv(self, name: str, a: object, b: object, kernel: int, out: int | None = None) -> None:
        first = int(a)  # type: ignore[call-overload]
        self.shapes[f"{name}.weight_g"] = (first, 1, 1)
        self.shapes[f"{name}.weight_v"] = (first, int(b), kernel)  # type: ignore[call-overload]
        self.shapes[f"{name}.bias"] = (out or first,)

    def _units(self, name: str, start: int, dim: int) -> None:
        for unit in range(start, start + 3):
            for i in (0, 2):
                self.shapes[f"{name}.{unit}.block.{i}.alpha"] = (1, dim, 1)
            self._conv(f"{name}.{unit}.block.1", dim, 1 if self.depthwise else dim, 7)
            self._conv(f"{name}.{unit}.block.3", dim, dim, 1)

    def state(self, device: str = "cpu") -> dict[str, Tensor]:
        draw = torch.Generator().manual_seed(0)
        return {
            name: torch.empty(shape, device="meta")
            if device == "meta"
            else 0.2 * torch.randn(shape, generator=draw) + (0.8 if name[-1] in "ag" else 0)
            for name, shape in self.shapes.items()
        }

    # what it computes

    def encode(self, state: dict[str, Tensor], waveform: Tensor) -> Tensor:
        hop = math.prod(self.config["encoder_rates"])  # type: ignore[arg-type]
        x = F.pad(waveform, (0, -waveform.shape[-1] % hop))
        x = self._left(state, "encoder.block.0", x, 6)
        for i, stride in enumerate(self.config["encoder_rates"], start=1):  # type: ignore[arg-type]
            x = self._run_units(state, f"encoder.block.{i}.block", 0, x)
            x = snake(x, state[f"encoder.block.{i}.block.3.alpha"])
            x = self._left(
                state, f"encoder.block.{i}.block.4", x, 2 * math.ceil(stride / 2), stride=stride
            )
        return self._left(state, "encoder.fc_mu", x, 2)

    def decode(self, state: dict[str, Tensor], x: Tensor) -> Tensor:
        x = self._left(state, "decoder.model.0", x, 6, groups=x.shape[1] if self.depthwise else 1)
        if self.depthwise:
            x = self._left(state, "decoder.model.1", x, 0)
        for i, stride in enumerate(self.config["decoder_rates"], start=self.first):  # type: ignore[arg-type]
            block = f"decoder.model.{i}.block"
            x = snake(x, state[f"{block}.0.alpha"])
            y = F.conv_transpose1d(
                x, weight(state, f"{block}.1"), state[f"{block}.1.bias"], stride=stride
            )
            x = y[..., : -(2 * math.ceil(stride / 2) - stride % 2)]
            x = self._run_units(state, block, 2, x)
        x = snake(x, state[f"decoder.model.{self.last}.alpha"])
        return self._left(state, f"decoder.model.{self.last + 1}", x, 6).tanh()

    def _run_units(self, state: dict[str, Tensor], name: str, start: int, x: Tensor) -> Tensor:
        for unit, dilation in zip(range(start, start + 3), (1, 3, 9), strict=True):
            block = f"{name}.{unit}.block"
            groups = x.shape[1] if self.depthwise else 1
            y = snake(x, state[f"{block}.0.alpha"])
            y = self._left(state, f"{block}.1", y, 6 * dilation, dilation=dilation, groups=groups)
            y = snake(y, state[f"{block}.2.alpha"])
            x = x + self._left(state, f"{block}.3", y, 0)
        return x

    def _left(
        self, state: dict[str, Tensor], name: str, x: Tensor, left: int, **more: int
    ) -> Tensor:
        return F.conv1d(F.pad(x, (left, 0)), weight(state, name), state[f"{name}.bias"], **more)


def weight(state: dict[str, Tensor], name: str) -> Tensor:
    v = state[f"{name}.weight_v"]
    return state[f"{name}.weight_g"] * v / v.norm(dim=(1, 2), keepdim=True)


def snake(x: Tensor, alpha: Tensor) -> Tensor:
    return x + (alpha * x).sin().square() / (alpha + 1e-9)


def audio(n: int) -> Tensor:
    return 0.3 * torch.randn(2, 1, n, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("depthwise", [True, False])
@pytest.mark.parametrize("n", [1, 401, 12 * 40])
def test_it_computes_what_is_published(depthwise: bool, n: int) -> None:
    reference = Reference(depthwise=depthwise)
    state = reference.state()
    codec = load_pretrained(AUDIO_VAE, state, read_config(reference.config))
    assert isinstance(codec, AudioVAE) and codec.hop_length == 40
    found, wanted = codec.encode_latents(audio(n)), reference.encode(state, audio(n))
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)
    assert float(wanted.std()) > 0.05
    torch.testing.assert_close(
        codec.decode_latents(wanted), reference.decode(state, wanted), atol=1e-5, rtol=1e-4
    )


def test_the_published_checkpoint_is_accounted_for_at_its_full_size() -> None:
    """VoxCPM-0.5B's config.json names no sizes of the codec: those are the published defaults."""
    reference = Reference(
        encoder_dim=128, encoder_rates=[2, 5, 8, 8], latent_dim=64, decoder_dim=1536,
        decoder_rates=[8, 8, 5, 2],
    )  # fmt: skip
    state = reference.state("meta")
    assert recognise(state, PRETRAINED.key_mappings) == ["audio_vae"]
    config = read_config({})
    assert config == read_config(reference.config) == AudioVAEConfig()
    converted = convert(AUDIO_VAE, state, config)
    assert set(converted.used) == set(state) and not converted.ignored
    with pytest.raises(CheckpointError, match=r"lacks 1 tensor \(encoder.to_mean.conv.bias\)"):
        convert(AUDIO_VAE, {n: t for n, t in state.items() if n != "encoder.fc_mu.bias"}, config)


@pytest.mark.parametrize("lengths", [[1] * 9, [4, 5], [9]])
def test_chunks_make_the_whole(lengths: list[int]) -> None:
    torch.manual_seed(0)
    codec = AudioVAE(AudioVAE.tiny_config()).eval()
    latents = torch.randn(2, codec.latent_dim, 9, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole = codec.decode_latents(latents)
    state, made = codec.init_state(2), []
    for number, chunk in enumerate(latents.split(lengths, dim=-1)):
        is_final = number == len(lengths) - 1
        made.append(codec.decode_chunk(chunk, state, is_final=is_final))
    torch.testing.assert_close(torch.cat(made, dim=-1), whole, atol=1e-6, rtol=1e-5)
    assert whole.shape[-1] == 9 * codec.hop_length


def test_sizes_that_do_not_fit_are_named() -> None:
    with pytest.raises(ConfigError, match="decoder_strides must multiply to 640"):
        AudioVAEConfig(decoder_strides=(8, 8, 5))
    with pytest.raises(ConfigError, match="decoder_dim must be a multiple of 16, but is 1500"):
        AudioVAEConfig(decoder_dim=1500)
    with pytest.raises(ConfigError, match="use_noise_block"):
        read_config({"use_noise_block": True})
