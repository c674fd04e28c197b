"""Facts of every codec: the embedded one, and all pretrained ones."""

from __future__ import annotations

from uslm.models.folders import resolve_bundle
from uslm_tokenizer.config import from_dict
from uslm_tokenizer.hub import empty_parameters, read_description
from uslm_tokenizer.pretrained.facts import CodecFacts, facts_of, pretrained_facts
from uslm_tokenizer.registry import PRETRAINED, tokenizer_class


def all_facts() -> list[CodecFacts]:
    """A row for each codec that can be asked for by name."""
    return [_embedded(), *(pretrained_facts(PRETRAINED, name) for name in PRETRAINED.systems)]


def _embedded() -> CodecFacts:
    description = read_description(resolve_bundle("default") / "tokenizer")
    model = tokenizer_class(description["model_type"])
    with empty_parameters():
        tokenizer = model(from_dict(model.config_class, description["config"]))
    return facts_of(
        tokenizer,
        name="default",
        title="the embedded model's own codec",
        source="this package",
        code_licence="Apache-2.0",
        weights_licence="Apache-2.0",
    )
