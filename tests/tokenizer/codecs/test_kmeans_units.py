"""Units from k-means over a frozen encoder: shapes, padding, fitting, saving."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from uslm_tokenizer.codecs.kmeans_units.model import KMeansUnits
from uslm_tokenizer.codecs.kmeans_units.speaker_mean import replace_mean, utterance_mean
from uslm_tokenizer.registry import load_tokenizer
from uslm_tokenizer.ssl.encoder import SSLEncoder


def audio(n: int = 4000) -> Tensor:
    return torch.randn(2, n, generator=torch.Generator().manual_seed(1)) * 0.1


@pytest.fixture
def tokenizer() -> KMeansUnits:
    model = KMeansUnits(KMeansUnits.tiny_config()).eval()
    batches = [(audio(), torch.tensor([4000, 3000])), (audio(6400), torch.tensor([6400, 6400]))]
    model.fit(batches, generator=torch.Generator().manual_seed(0))
    return model


@pytest.mark.parametrize("n", [1, 319, 320, 321, 4000])
def test_a_frame_for_every_hop_begun(tokenizer: KMeansUnits, n: int) -> None:
    codes = tokenizer.encode(audio(n)[:, None])
    assert codes.shape == (2, 1, -(-n // 320))
    assert int(codes.min()) >= 0 and int(codes.max()) < tokenizer.codebook_size


def test_fitted_units_are_in_use(tokenizer: KMeansUnits) -> None:
    assert len(tokenizer.encode(audio(6400)[:, None]).unique()) > tokenizer.codebook_size / 2


def test_a_row_alone_equals_the_row_in_a_batch(tokenizer: KMeansUnits) -> None:
    waveform, lengths = audio()[:, None], torch.tensor([4000, 1500])
    noise = waveform.clone()
    noise[1, :, 1500:] = 9.0
    batch = tokenizer.encode(noise, lengths)
    assert torch.equal(batch[1, :, :5], tokenizer.encode(waveform[1:, :, :1500])[0])


def test_loaded_equals_saved(tokenizer: KMeansUnits, tmp_path: Path) -> None:
    loaded = load_tokenizer(tokenizer.save_pretrained(tmp_path))
    assert torch.equal(loaded.encode(audio()[:, None]), tokenizer.encode(audio()[:, None]))


def test_around_a_loaded_encoder(tokenizer: KMeansUnits) -> None:
    other = KMeansUnits.from_encoder(SSLEncoder(tokenizer.config.encoder), num_units=16)
    other.load_state_dict(tokenizer.state_dict())
    assert other.config == tokenizer.config
    assert torch.equal(other.encode(audio()[:, None]), tokenizer.encode(audio()[:, None]))


def test_fitting_is_the_generators(tokenizer: KMeansUnits) -> None:
    again = KMeansUnits.from_encoder(tokenizer.encoder, num_units=16)
    batches = [(audio(), torch.tensor([4000, 3000])), (audio(6400), torch.tensor([6400, 6400]))]
    again.fit(batches, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again.quantizer.centroids, tokenizer.quantizer.centroids)


def test_units_do_not_decode(tokenizer: KMeansUnits) -> None:
    with pytest.raises(ValueError, match="acoustic tokenizer"):
        tokenizer.decode(torch.zeros(1, 1, 3, dtype=torch.long))


def test_what_is_the_same_in_all_frames_can_be_left_out() -> None:
    """A shift of all features is a speaker, and of padding nothing is known."""
    plain, normal = (
        KMeansUnits(replace(KMeansUnits.tiny_config(), subtract_mean=it)) for it in (False, True)
    )
    features = torch.randn(2, 9, 16, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(2, 9, dtype=torch.bool)
    mask[1, 4:] = False
    shifted = features + 3.0
    shifted[1, 4:] = 100.0
    found, other = (normal._normalised(each, mask)[mask] for each in (features, shifted))
    torch.testing.assert_close(found, other, atol=1e-5, rtol=1e-4)
    assert torch.equal(plain._normalised(features, mask), features)
    torch.testing.assert_close(found[:9].mean(0), torch.zeros(16), atol=1e-5, rtol=0)


def test_a_mean_is_replaced_and_nothing_else() -> None:
    features, mask = torch.randn(2, 6, 4), torch.ones(2, 6, dtype=torch.bool)
    mask[1, 4:] = False
    target = torch.tensor([1.0, -2.0, 3.0, 0.5])
    moved = replace_mean(features, mask, target)
    torch.testing.assert_close(utterance_mean(moved, mask), target.expand(2, -1))
    for row, count in enumerate((6, 4)):
        one, two = features[row, :count], moved[row, :count]
        torch.testing.assert_close(two - two.mean(0), one - one.mean(0))
    noisy = features.masked_fill(~mask[..., None], 9.0)
    torch.testing.assert_close(replace_mean(noisy, mask, target)[mask], moved[mask])
