"""Stage 1 models whose marks are the ids right behind those of their vocabularies."""

from typing import Protocol

from uslm.models.base import SemanticModel


class Vocabularies(Protocol):
    """What such a model's config says of them."""

    @property
    def text_vocab_size(self) -> int: ...

    @property
    def codebook_size(self) -> int: ...


class MarkedLM(SemanticModel):
    """Text ids, then separator and end; unit ids, then the start, which as a prediction ends."""

    config: Vocabularies

    @property
    def codebook_size(self) -> int:
        return self.config.codebook_size

    @property
    def separator_id(self) -> int:
        return self.config.text_vocab_size

    @property
    def end_of_text_id(self) -> int:
        """Text id behind the last symbol."""
        return self.config.text_vocab_size + 1

    @property
    def start_id(self) -> int:
        """Unit id in front of the first unit; as a prediction, the same index ends the speech."""
        return self.config.codebook_size
