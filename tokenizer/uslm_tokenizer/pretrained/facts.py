"""Facts of a codec before it is downloaded: rates, sizes, licences."""

import math
from dataclasses import dataclass

from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.errors import UserError
from uslm_tokenizer.pretrained.build import empty_part, empty_ready
from uslm_tokenizer.pretrained.catalogue import Catalogue


@dataclass(frozen=True, kw_only=True)
class CodecFacts:
    """A row of the table of codecs."""

    name: str
    title: str
    sample_rate: int
    """Hz."""
    frame_rate: float
    """Hz."""
    num_codebooks: int
    codebook_size: int
    kbit_rate: float
    """Of all codebooks, kbit/s."""
    num_parameters: int
    causal: bool
    """Whether no code depends on samples after its frame."""
    decodes: bool
    """Whether the codes alone give sound."""
    source: str
    code_licence: str
    weights_licence: str


def facts_of(
    tokenizer: AudioTokenizer,
    *,
    name: str,
    title: str,
    source: str,
    code_licence: str,
    weights_licence: str,
) -> CodecFacts:
    """The facts of a tokenizer; it may well be without weights."""
    bits = tokenizer.num_codebooks * math.log2(tokenizer.codebook_size)
    return CodecFacts(
        name=name,
        title=title,
        sample_rate=tokenizer.sample_rate,
        frame_rate=tokenizer.frame_rate,
        num_codebooks=tokenizer.num_codebooks,
        codebook_size=tokenizer.codebook_size,
        kbit_rate=tokenizer.frame_rate * bits / 1000,
        num_parameters=tokenizer.num_parameters(),
        causal=tokenizer.causal,
        decodes=tokenizer.can_decode and not getattr(tokenizer, "needs_segments", False),
        source=source,
        code_licence=code_licence,
        weights_licence=weights_licence,
    )


def pretrained_facts(catalogue: Catalogue, name: str) -> CodecFacts:
    """The facts of a pretrained tokenizer, built at its full size without memory."""
    system = catalogue.get(name)
    if system.kind != "tokenizer":
        raise UserError(f"{name} is no tokenizer: it speaks, and is made of several models")
    model = empty_ready(system) if system.ready else empty_part(catalogue, system.parts[0])
    assert isinstance(model, AudioTokenizer), f"{name} becomes a {type(model).__name__}"
    return facts_of(model, name=name, title=system.title, **catalogue.licences(name))
