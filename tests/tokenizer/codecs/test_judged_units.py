"""JudgedUnits: around a loaded encoder, at the start k-means; gradients reach what is trained."""

import pytest
import torch
from torch import Tensor

from uslm_tokenizer.codecs.judged_units.model import AdapterConfig, JudgedUnits, JudgedUnitsConfig
from uslm_tokenizer.codecs.kmeans_units.model import KMeansUnits
from uslm_tokenizer.config import from_dict
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.quantize.diff_kmeans import DifferentiableKMeans, DifferentiableKMeansConfig
from uslm_tokenizer.quantize.vq import VectorQuantizer
from uslm_tokenizer.ssl.encoder import SSLConfig, SSLEncoder
from uslm_tokenizer.ssl.tiny_backbones import TINY_HUBERT

LENGTHS = torch.tensor([6400, 3200])


def encoder() -> SSLEncoder:
    torch.manual_seed(0)
    config = SSLConfig(backbone=TINY_HUBERT, layers=(1, 2), layer_weights="learnt")
    return SSLEncoder(config)


def units(size: int = 8) -> JudgedUnits:
    return JudgedUnits.from_encoder(
        encoder(), DifferentiableKMeansConfig(dim=16, codebook_size=size)
    )


def audio() -> Tensor:
    return 0.1 * torch.randn(2, 1, 6400, generator=torch.Generator().manual_seed(1))


def test_with_equal_layers_and_the_same_centroids_it_is_kmeans_units() -> None:
    plain = KMeansUnits.from_encoder(encoder(), 8)
    judged = units()
    batches = [(audio()[:, 0], LENGTHS)]
    plain.fit(batches, generator=torch.Generator().manual_seed(0))
    judged.encoder.fit_statistics(batches)
    with torch.no_grad():
        assert isinstance(judged.quantizer, DifferentiableKMeans)
        judged.quantizer.centroids.copy_(plain.quantizer.centroids)
    # learnt weights begin as equal ones, of which these layers' mean is made
    assert torch.equal(judged.encode(audio(), LENGTHS), plain.encode(audio(), LENGTHS))
    made = judged.eval()(audio(), LENGTHS)
    assert torch.equal(made.quantized.codes[0], judged.encode(audio(), LENGTHS)[0])


@pytest.mark.parametrize("backbone", [False, True])
def test_what_is_unfrozen_gets_a_gradient_and_the_rest_none(backbone: bool) -> None:
    judged = units().train()
    judged.encoder.unfreeze(backbone=backbone)
    made = judged(audio(), LENGTHS, torch.Generator().manual_seed(0))
    made.quantized.latents.transpose(1, 2)[made.mask].square().sum().backward()
    assert judged.encoder.layer_logits.grad is not None
    assert bool((judged.encoder.layer_logits.grad != 0).all())
    inner = judged.encoder.backbone.encoder.layers[0].feed_forward.intermediate_dense.weight  # type: ignore[union-attr, index]
    assert (inner.grad is not None and bool((inner.grad != 0).any())) == backbone
    assert isinstance(judged.quantizer, DifferentiableKMeans)
    assert judged.quantizer.centroids.grad is not None


def test_continuous_latents_pass_beside_their_codes() -> None:
    judged = units().eval()
    made = judged(audio(), LENGTHS, continuous=True)
    assert torch.equal(made.quantized.latents, made.latents)
    assert torch.equal(made.quantized.codes, judged.quantizer.encode(made.latents))


def test_layer_weights_weigh_layers() -> None:
    speech = encoder()
    outputs, _ = speech.layer_outputs(audio())
    with torch.no_grad():
        speech.layer_logits.copy_(torch.tensor([-50.0, 50.0]))
    torch.testing.assert_close(speech.standardised(outputs), outputs[1], atol=1e-5, rtol=1e-4)


def test_the_keys_say_which_quantizer() -> None:
    backbone = {"backbone": TINY_HUBERT, "layers": [2]}
    for keys, kind in (({"temperature": 1.0}, DifferentiableKMeans), ({}, VectorQuantizer)):
        data = {"encoder": backbone, "quantizer": {"dim": 16, "codebook_size": 8, **keys}}
        judged = JudgedUnits(from_dict(JudgedUnitsConfig, data))
        assert type(judged.quantizer) is kind


def test_mistakes_are_told() -> None:
    with pytest.raises(ConfigError, match=r"quantizer.dim must be 16.* but is 8"):
        JudgedUnits.from_encoder(encoder(), DifferentiableKMeansConfig(dim=8, codebook_size=4))
    with pytest.raises(ConfigError, match="an odd kernel_size, but has 1 and 4"):
        AdapterConfig(num_layers=1, kernel_size=4)
    with pytest.raises(ConfigError, match='layer_weights must be "learnt"'):
        SSLEncoder(SSLConfig(backbone=TINY_HUBERT, layers=(1,))).unfreeze(backbone=False)
