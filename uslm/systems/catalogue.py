"""All pretrained models, the tokenizers and the systems that speak: files, pins, and their
parts."""

from uslm.systems.registry import ENTRIES
from uslm_tokenizer.pretrained.catalogue import Catalogue
from uslm_tokenizer.registry import PRETRAINED

KEY_MAPPINGS: dict[str, str] = {
    **PRETRAINED.key_mappings,
    **{name: place for entry in ENTRIES.values() for name, place in entry.key_mappings.items()},
}
"""Name to "module:NAME" of a KeyMapping."""

CATALOGUE = Catalogue(
    systems={
        **PRETRAINED.systems,
        **{name: entry.pretrained for name, entry in ENTRIES.items() if entry.pretrained},
    },
    key_mappings=KEY_MAPPINGS,
)
