"""Moshi with random weights, built in milliseconds: what tests and examples talk to."""

from dataclasses import replace

import torch

from uslm.systems.moshi.model import MoshiLM
from uslm_tokenizer.codecs.mimi.model import MimiCodec


def tiny_moshi(*, seed: int = 0) -> tuple[MoshiLM, MimiCodec]:
    """A model that babbles and its codec, whose codebooks lie where made-up sound does."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        codec = MimiCodec(MimiCodec.tiny_config()).eval()
        codec.use_codebooks(3)
        noise = torch.Generator().manual_seed(seed)
        codec.initialize(0.3 * torch.randn(4, 1, 40 * codec.hop_length, generator=noise), noise)
        config = replace(MoshiLM.tiny_config(), codebook_size=codec.codebook_size)
        return MoshiLM(config).eval(), codec
