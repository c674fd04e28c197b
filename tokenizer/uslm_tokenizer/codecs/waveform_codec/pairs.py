"""A codec of groups as one of a single codebook: SimCodec's second stage."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from uslm_tokenizer.codecs.waveform_codec.model import WaveformCodec
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.quantize.grvq import GroupedQuantizer
from uslm_tokenizer.quantize.pairs import count_use, paired


@torch.no_grad()
def with_pairs(
    codec: WaveformCodec, waveforms: Iterable[Float[Tensor, "b 1 _n"]], kept: Sequence[int]
) -> WaveformCodec:
    """A codec whose single codebook holds all pairs of the codes that are used most in these
    waveforms, `kept[g]` of group g; encoder and decoder are those of `codec`.

    ConfigError of a codec whose quantizer has no groups.
    """
    if not isinstance(codec.quantizer, GroupedQuantizer):
        raise ConfigError(
            "the codes of groups can be paired, but the quantizer is a "
            f"{type(codec.quantizer).__name__}; train one with model.quantizer.num_groups first"
        )
    codes = (codec.encode(each.to(codec.device)) for each in waveforms)
    use = count_use(codes, codec.codebook_size)
    quantizer = paired(codec.quantizer, use, kept)
    joined = WaveformCodec(replace(codec.config, quantizer=quantizer.config))
    weights = codec.state_dict()
    others = {name: each for name, each in weights.items() if not name.startswith("quantizer.")}
    joined.load_state_dict(
        others | {f"quantizer.{name}": each for name, each in quantizer.state_dict().items()}
    )
    return joined.train(codec.training).to(codec.device)
