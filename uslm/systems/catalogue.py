"""All published models, the tokenizers and the systems that speak: files, pins, and their parts."""

from uslm.systems.registry import ENTRIES
from uslm_tokenizer.codecs.catalogue import TOKENIZERS
from uslm_tokenizer.pretrained.catalogue import Catalogue

LAYOUTS: dict[str, str] = {
    **TOKENIZERS.layouts,
    **{name: place for entry in ENTRIES.values() for name, place in entry.layouts.items()},
}
"""Name to "module:NAME" of a Layout."""

CATALOGUE = Catalogue(
    systems={
        **TOKENIZERS.systems,
        **{name: entry.published for name, entry in ENTRIES.items() if entry.published},
    },
    layouts=LAYOUTS,
)
