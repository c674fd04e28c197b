"""The variational codec: its draws, its divergence, its stream, and what its weight does."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from uslm_tokenizer.codecs.vae.model import Posterior, VAECodec
from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.objectives.waveform import MultiResolutionSTFTLoss


@pytest.fixture
def codec() -> VAECodec:
    return VAECodec(replace(VAECodec.tiny_config(), gain=4.0)).eval()


def speech_like(b: int, num_frames: int, codec: VAECodec) -> Tensor:
    """Tones that differ from row to row."""
    time = torch.arange(num_frames * codec.hop_length) / codec.sample_rate
    pitch = 110.0 * 2 ** (torch.arange(b) / 3)
    return 0.3 * (2 * torch.pi * pitch[:, None] * time).sin()[:, None]


def test_a_draw_is_the_generators_and_the_mean_nobodys(codec: VAECodec) -> None:
    waveform = speech_like(2, 9, codec)
    likeliest = codec.encode_latents(waveform)
    assert likeliest.shape == (2, codec.latent_dim, 9)
    assert torch.equal(codec.encode_latents(waveform), likeliest)
    draws = [codec.encode_latents(waveform, torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
    assert not torch.equal(draws[0], likeliest)


def test_draws_have_the_posteriors_mean_and_variance() -> None:
    mean, log_variance = torch.full((1, 1, 40_000), 2.0), torch.full((1, 1, 40_000), -1.0)
    drawn = Posterior(mean, log_variance).sample(torch.Generator().manual_seed(0))
    assert float(drawn.mean()) == pytest.approx(2.0, abs=0.02)
    assert float(drawn.var()) == pytest.approx(float(torch.tensor(-1.0).exp()), rel=0.03)


def test_the_divergence_is_that_of_normal_distributions() -> None:
    source = torch.Generator().manual_seed(0)
    mean, log_variance = (torch.randn(2, 3, 5, generator=source) for _ in range(2))
    found = Posterior(mean, log_variance).divergence()
    own = Normal(mean, (0.5 * log_variance).exp())
    wanted = kl_divergence(own, Normal(torch.zeros(()), torch.ones(()))).mean()
    torch.testing.assert_close(found, wanted)


def test_the_gain_is_on_the_way_in_and_off_on_the_way_out(codec: VAECodec) -> None:
    """Quiet speech with it sounds as loud speech without, and as quiet as it came."""
    loud = VAECodec(replace(codec.config, gain=1.0)).eval()
    loud.load_state_dict(codec.state_dict())
    waveform = speech_like(2, 9, codec)
    latents = loud.encode_latents(waveform)
    assert torch.equal(codec.encode_latents(waveform / 4), latents)
    with torch.no_grad():
        torch.testing.assert_close(4 * codec.decode_latents(latents), loud.decode_latents(latents))
    made = codec(waveform / 4, torch.Generator().manual_seed(0)).waveform
    whole = loud(waveform, torch.Generator().manual_seed(0)).waveform
    torch.testing.assert_close(4 * made, whole)


def test_an_untrained_posterior_is_narrow(codec: VAECodec) -> None:
    """Its noise must not drown what the encoder says: the decoder would learn to do without."""
    with torch.no_grad():
        found = codec.posterior(speech_like(2, 9, codec))
    assert float((0.5 * found.log_variance).exp().mean()) < 0.1


def test_the_gradient_passes_the_draw(codec: VAECodec) -> None:
    made = codec.train()(speech_like(2, 6, codec), torch.Generator().manual_seed(0))
    made.waveform.square().mean().backward()
    mean, log_variance = codec.to_posterior.weight.grad.chunk(2)
    assert float(mean.abs().sum()) > 0 and float(log_variance.abs().sum()) > 0


def test_codes_are_the_latents_rounded(codec: VAECodec) -> None:
    latents = torch.linspace(-4.4, 4.4, 60).reshape(1, codec.latent_dim, 10)
    codes = codec.round_latents(latents)
    back = codec.latents_of(codes)
    inside = latents.abs() <= codec.config.reach
    half = 0.5 / codec.config.steps_per_deviation + 1e-6
    assert float((back - latents)[inside].abs().max()) <= half
    assert float(back.abs().max()) == codec.config.reach
    waveform = speech_like(1, 9, codec)
    by_codes = codec.decode(codec.encode(waveform))
    by_latents = codec.decode_latents(codec.encode_latents(waveform)).detach()
    assert float((by_codes - by_latents).abs().max()) < 0.05 * float(by_latents.abs().max())


@pytest.mark.parametrize("lengths", [[1] * 12, [5, 4, 3], [12]])
def test_chunks_make_the_whole(codec: VAECodec, lengths: list[int]) -> None:
    latents = torch.randn(2, codec.latent_dim, 12, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole = codec.decode_latents(latents)
    state, made = codec.init_state(2), []
    for number, chunk in enumerate(latents.split(lengths, dim=-1)):
        is_final = number == len(lengths) - 1
        made.append(codec.decode_chunk(chunk, state, is_final=is_final))
    torch.testing.assert_close(torch.cat(made, dim=-1), whole, atol=1e-6, rtol=1e-5)


def test_latents_do_not_depend_on_what_follows(codec: VAECodec) -> None:
    waveform = speech_like(1, 12, codec)
    other = waveform.clone()
    other[..., 7 * codec.hop_length :] = 0.5
    one, two = codec.encode_latents(waveform), codec.encode_latents(other)
    assert torch.equal(one[..., :7], two[..., :7]) and not torch.equal(one, two)


def test_a_larger_weight_leaves_less_in_the_latents() -> None:
    """Four tones learnt by heart: what the latents may say costs as much as its weight."""

    def learn(weight: float) -> tuple[float, float, float]:
        torch.manual_seed(0)
        codec = VAECodec(VAECodec.tiny_config()).train()
        waveform, source = speech_like(4, 8, codec), torch.Generator().manual_seed(0)
        distance = MultiResolutionSTFTLoss(codec.sample_rate)
        optimizer = torch.optim.Adam(codec.parameters(), lr=3e-3)
        errors, divergence = [], torch.zeros(())
        for _ in range(80):
            made = codec(waveform, source)
            error, divergence = distance(made.waveform, waveform), made.quantized.loss
            optimizer.zero_grad()
            (error + weight * divergence).backward()
            optimizer.step()
            errors.append(float(error.detach()))
        return errors[0], sum(errors[-5:]) / 5, float(divergence.detach())

    first, loose, rich = learn(1e-4)
    _, _, poor = learn(3.0)
    assert loose < 0.7 * first
    assert poor < 0.2 * rich


def test_what_does_not_fit_is_named(codec: VAECodec) -> None:
    with pytest.raises(UserError, match=r"latents must be \[b, 6, t\], but are \[1, 5, 3\]"):
        codec.decode_latents(torch.zeros(1, 5, 3))
    config = VAECodec.tiny_config()
    both_ways = replace(config, network=replace(config.network, causal=False))
    with pytest.raises(UserError, match=r"network.causal must be True"):
        VAECodec(both_ways).init_state(1)
    with pytest.raises(ConfigError, match="latent_dim must be above 0, but is 0"):
        replace(config, latent_dim=0)
    with pytest.raises(ConfigError, match=r"gain must be above 0, but is -1.0"):
        replace(config, gain=-1.0)
