"""RepCodec and the units around it: padding, training, saving, the parts that must fit."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from uslm_tokenizer.codecs.repcodec.model import RepCodec
from uslm_tokenizer.codecs.ssl_units.model import SSLUnits
from uslm_tokenizer.codecs.vevo_content.model import VevoContentTokenizer
from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.ssl.encoder import SSLEncoder


def build() -> RepCodec:
    torch.manual_seed(0)
    return RepCodec(RepCodec.tiny_config()).eval()


def features(b: int = 3, t: int = 25) -> Tensor:
    return torch.randn(b, t, 16, generator=torch.Generator().manual_seed(1))


def test_decoding_gives_what_a_pass_gave() -> None:
    codec = build()
    out = codec(features())
    codes = codec.encode(features())
    assert codes.shape == (3, 1, 25) and codec.decode(codes).shape == (3, 25, 16)
    assert torch.equal(out.quantized.codes, codes)
    torch.testing.assert_close(codec.decode(codes), out.features)


def test_padding_has_no_influence() -> None:
    codec, lengths = build(), torch.tensor([25, 11, 1])
    noisy = features()
    noisy[1, 11:], noisy[2, 1:] = 9.0, -9.0
    codes = codec.encode(noisy, lengths)
    mask = torch.arange(25) < lengths[:, None]
    losses = [codec(rows, mask).loss for rows in (noisy, features())]
    torch.testing.assert_close(*losses)
    for row, length in enumerate(lengths.tolist()):
        alone = codec.encode(features()[row : row + 1, :length])
        assert torch.equal(codes[row : row + 1, :, :length], alone)


def test_a_few_sounds_are_learnt_by_heart() -> None:
    codec = build().train()
    sounds = features(t=4)[0, torch.arange(60).reshape(3, 20) * 7 % 4]
    optimizer = torch.optim.AdamW(codec.parameters(), lr=3e-3)
    first = float(codec(sounds).loss.detach())
    for _ in range(60):
        optimizer.zero_grad()
        codec(sounds).loss.backward()
        optimizer.step()
    assert float(codec(sounds).loss.detach()) < first / 2


def test_a_loaded_codec_equals_the_saved_one(tmp_path: Path) -> None:
    codec = build()
    loaded = RepCodec.from_pretrained(codec.save_pretrained(tmp_path))
    assert loaded.config == codec.config
    assert torch.equal(loaded(features()).features, codec(features()).features)


def test_units_are_the_codes_of_the_features() -> None:
    torch.manual_seed(0)
    encoder, codec = SSLEncoder(SSLUnits.tiny_config().encoder), build()
    waveform = torch.randn(2, 1, 3200, generator=torch.Generator().manual_seed(2)) * 0.1
    expected = codec.encode(encoder(waveform)[0])
    assert torch.equal(SSLUnits.from_parts(encoder, codec).encode(waveform), expected)


@pytest.mark.parametrize("n", [1, 400, 560, 3360])
def test_units_without_padding_are_as_many_as_the_encoder_makes(n: int) -> None:
    config = SSLUnits.tiny_config()
    units = SSLUnits(replace(config, encoder=replace(config.encoder, padding="none"))).eval()
    windows = max(0, n - 400) // 160 + 1
    assert units.encode(torch.ones(1, 1, n)).shape == (1, 1, -(-windows // 2))


def test_units_of_vevos_content() -> None:
    config = replace(SSLUnits.tiny_config(), codec=VevoContentTokenizer.tiny_config())
    units = SSLUnits(config).eval()
    assert units.codebook_size == 8 and units.encode(torch.ones(1, 1, 700)).shape == (1, 1, 3)
    with pytest.raises(UserError, match="acoustic tokenizer"):
        units.decode(torch.zeros(1, 1, 3, dtype=torch.long))


def test_parts_that_do_not_fit_are_refused() -> None:
    codec = replace(VevoContentTokenizer.tiny_config(), dim=12)
    with pytest.raises(ConfigError, match="features of width 16, as the encoder"):
        SSLUnits(replace(SSLUnits.tiny_config(), codec=codec))
