"""Samples decoded segment by segment are the samples of the whole."""

from __future__ import annotations

import pytest
import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm.output.streaming_decoder import StreamingDecoder
from uslm.systems.two_stage.bundle import Bundle
from uslm_tokenizer.base import AudioTokenizer


class Opaque(AudioTokenizer):
    """Says nothing about how far its decoder sees."""

    config_class, sample_rate, hop_length, num_codebooks, codebook_size = int, 8, 2, 1, 9

    def __init__(self) -> None:
        super().__init__(0)
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.calls = 0

    def encode(
        self, waveform: Float[Tensor, "b 1 n"], lengths: Int[Tensor, " b"] | None = None
    ) -> Int[Tensor, "b k t"]:
        raise NotImplementedError

    def decode(self, codes: Int[Tensor, "b k t"]) -> Float[Tensor, "b 1 n"]:
        self.calls += 1
        return codes.float().repeat_interleave(2, dim=2)

    @classmethod
    def tiny_config(cls) -> int:
        return 0


def stream(tokenizer: AudioTokenizer, codes: Tensor, sizes: list[int]) -> list[Tensor]:
    decoder = StreamingDecoder(tokenizer)
    segments = codes.split(sizes, dim=1)
    return [decoder.push(segment, i == len(segments) - 1) for i, segment in enumerate(segments)]


@pytest.mark.parametrize("sizes", [[70], [2] * 35, [24, 46], [40, 0, 29, 1], [69, 1, 0]])
def test_segments_equal_the_whole(bundle: Bundle, sizes: list[int]) -> None:
    codes = torch.randint(32, (4, 70), generator=torch.Generator().manual_seed(0))
    whole = bundle.tokenizer.decode(codes[None])[0]
    joined = torch.cat(stream(bundle.tokenizer, codes, sizes), dim=1)
    torch.testing.assert_close(joined, whole, atol=2e-6, rtol=1e-5)


def test_samples_come_as_early_as_they_are_settled(bundle: Bundle) -> None:
    tokenizer = bundle.tokenizer
    lag = tokenizer.decoder_context_frames
    assert isinstance(lag, int)
    first, last = stream(tokenizer, torch.zeros(4, lag + 12, dtype=torch.long), [lag + 5, 7])
    assert first.shape[1] == 5 * tokenizer.hop_length
    assert last.shape[1] == (lag + 7) * tokenizer.hop_length


def test_a_decoder_that_does_not_say_how_far_it_sees_is_asked_once() -> None:
    tokenizer = Opaque()
    decoder = StreamingDecoder(tokenizer)
    codes = torch.arange(6)[None]
    assert decoder.push(codes[:, :4], False).shape == (1, 0)
    assert decoder.push(codes[:, 4:], True).tolist() == [[0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]]
    assert tokenizer.calls == 1
