"""What every codec with latents keeps: nothing here names one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from uslm_tokenizer.base import LatentCodec
from uslm_tokenizer.errors import UserError
from uslm_tokenizer.registry import TOKENIZERS, tokenizer_class

LATENT = [name for name in TOKENIZERS if issubclass(tokenizer_class(name), LatentCodec)]


def build(name: str) -> Any:
    torch.manual_seed(0)
    found = tokenizer_class(name)
    return found(found.tiny_config()).eval()


def audio(b: int, n: int) -> Tensor:
    return 0.3 * torch.randn(b, 1, n, generator=torch.Generator().manual_seed(1))


def test_there_are_two() -> None:
    assert {"vae_codec", "audio_vae"} <= set(LATENT)


@pytest.mark.parametrize("name", LATENT)
def test_latents_have_a_frame_for_each_hop_begun_and_sound_a_hop_for_each_frame(name: str) -> None:
    codec = build(name)
    for n in (1, codec.hop_length, 5 * codec.hop_length + 1):
        latents = codec.encode_latents(audio(2, n))
        assert latents.shape == (2, codec.latent_dim, -(-n // codec.hop_length))
        with torch.no_grad():
            made = codec.decode_latents(latents)
        assert made.shape == (2, 1, latents.shape[-1] * codec.hop_length)
        alone = codec.encode_latents(audio(2, n)[1:])
        torch.testing.assert_close(latents[1:], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", LATENT)
def test_a_draw_is_the_generators(name: str) -> None:
    codec = build(name)
    waveform = audio(1, 6 * codec.hop_length)
    draws = [codec.encode_latents(waveform, torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
    assert torch.equal(codec.encode_latents(waveform), codec.encode_latents(waveform))


@pytest.mark.parametrize("name", LATENT)
def test_a_gradient_passes_the_decoder(name: str) -> None:
    codec = build(name)
    latents = codec.encode_latents(audio(1, 4 * codec.hop_length)).requires_grad_()
    codec.decode_latents(latents).square().mean().backward()
    assert float(latents.grad.abs().sum()) > 0


@pytest.mark.parametrize("name", LATENT)
def test_latents_of_another_codec_are_refused(name: str) -> None:
    codec = build(name)
    with pytest.raises(UserError, match=rf"latents must be \[b, {codec.latent_dim}, t\], but"):
        codec.decode_latents(torch.zeros(1, codec.latent_dim + 1, 3))
