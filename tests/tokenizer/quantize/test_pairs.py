"""Codes of groups as one codebook: which are kept, and what a pair stands for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from uslm_tokenizer.codecs.waveform_codec.model import WaveformCodec, WaveformCodecConfig
from uslm_tokenizer.codecs.waveform_codec.pairs import with_pairs
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.nn.seanet import SEANetConfig
from uslm_tokenizer.quantize.grvq import GroupedQuantizer, GroupedQuantizerConfig
from uslm_tokenizer.quantize.pairs import count_use, paired
from uslm_tokenizer.quantize.vq import VectorQuantizerConfig
from uslm_tokenizer.registry import load_tokenizer


def grouped(**given: Any) -> GroupedQuantizer:
    torch.manual_seed(0)
    return GroupedQuantizer(
        GroupedQuantizerConfig(group=VectorQuantizerConfig(dim=3, codebook_size=8, **given))
    ).eval()


def test_use_is_counted_by_group() -> None:
    codes = [torch.tensor([[[0, 1, 1], [3, 3, 3]]]), torch.tensor([[[1], [2]], [[7], [3]]])]
    first, second = count_use(codes, 8).tolist()
    assert first == [1, 3, 0, 0, 0, 0, 0, 1]
    assert second == [0, 0, 1, 4, 0, 0, 0, 0]
    with pytest.raises(ConfigError, match="no codes"):
        count_use([], 8)


@pytest.mark.parametrize("update", ["ema", "gradient"])
def test_entries_are_all_pairs_of_the_most_used_codes(update: str) -> None:
    groups = grouped(update=update)
    use = torch.tensor([[5, 0, 9, 1, 0, 0, 0, 0], [0, 2, 0, 0, 0, 0, 3, 1]])
    joined = paired(groups, use, (2, 3))
    assert joined.codebook_size == 6 and joined.config.dim == 6
    for first, place in ((2, 0), (0, 1)):
        for second, other in ((6, 0), (1, 1), (7, 2)):
            pair = groups.decode(torch.tensor([[[first], [second]]]))
            code = torch.tensor([[[3 * place + other]]])
            assert torch.equal(joined.decode(code), pair)
            assert torch.equal(joined.encode(pair), code)


def test_with_all_codes_kept_nothing_is_lost() -> None:
    """Every frame finds the pair of its own codes: the nearest pair is the pair of the nearest."""
    groups = grouped()
    latents = torch.randn(2, 6, 40, generator=torch.Generator().manual_seed(1))
    joined = paired(groups, torch.ones(2, 8, dtype=torch.long), (8, 8))
    torch.testing.assert_close(
        joined.decode(joined.encode(latents)), groups.decode(groups.encode(latents))
    )


def test_what_cannot_be_kept_is_refused() -> None:
    use = torch.ones(2, 8, dtype=torch.long)
    for kept in ((4,), (0, 4), (4, 9)):
        with pytest.raises(ConfigError, match=r"kept must be 2 numbers from 1 to 8"):
            paired(grouped(), use, kept)


def test_a_codec_of_groups_becomes_one_of_a_single_codebook(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = SEANetConfig(dim=6, num_filters=2, strides=(4, 8, 10), num_lstm_layers=0)
    quantizer = GroupedQuantizerConfig(group=VectorQuantizerConfig(dim=3, codebook_size=8))
    codec = WaveformCodec(WaveformCodecConfig(encoder=encoder, quantizer=quantizer)).eval()
    waveform = torch.randn(2, 1, 6400, generator=torch.Generator().manual_seed(1))
    codec.initialize(waveform, torch.Generator().manual_seed(0))
    joined = with_pairs(codec, [waveform], (8, 8))
    assert (joined.num_codebooks, joined.codebook_size) == (1, 64) and not joined.training
    before, after = codec.decode(codec.encode(waveform)), joined.decode(joined.encode(waveform))
    torch.testing.assert_close(after, before)
    few = with_pairs(codec, [waveform], (1, 1))
    most = [int(row.flatten().mode().values) for row in codec.encode(waveform).transpose(0, 1)]
    pair = torch.tensor(most)[None, :, None]
    torch.testing.assert_close(
        few.decode(torch.zeros(1, 1, 1, dtype=torch.long)), codec.decode(pair)
    )
    loaded = load_tokenizer(joined.save_pretrained(tmp_path))
    assert torch.equal(loaded.encode(waveform), joined.encode(waveform))
    with pytest.raises(ConfigError, match="the quantizer is a SplitQuantizer"):
        with_pairs(WaveformCodec(WaveformCodec.tiny_config()), [waveform], (8, 8))
