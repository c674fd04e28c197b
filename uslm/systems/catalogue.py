"""All pretrained models, the tokenizers and the systems that speak: files, pins, and their
parts."""

from uslm.systems.registry import ENTRIES
from uslm_tokenizer.codecs.catalogue import TOKENIZERS
from uslm_tokenizer.pretrained.catalogue import Catalogue

KEY_MAPPINGS: dict[str, str] = {
    **TOKENIZERS.key_mappings,
    **{name: place for entry in ENTRIES.values() for name, place in entry.key_mappings.items()},
}
"""Name to "module:NAME" of a KeyMapping."""

CATALOGUE = Catalogue(
    systems={
        **TOKENIZERS.systems,
        **{name: entry.pretrained for name, entry in ENTRIES.items() if entry.pretrained},
    },
    key_mappings=KEY_MAPPINGS,
)
