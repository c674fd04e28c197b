"""Stage 1 models whose special tokens are the ids right after those of their vocabularies."""

from typing import Protocol

from uslm.models.base import SemanticModel


class Vocabularies(Protocol):
    """Vocabulary sizes in such a model's config."""

    @property
    def text_vocab_size(self) -> int: ...

    @property
    def codebook_size(self) -> int: ...


class SpecialTokenLM(SemanticModel):
    """Text ids, then separator and text EOS; unit ids, then BOS, which as a prediction is EOS."""

    config: Vocabularies

    @property
    def codebook_size(self) -> int:
        return self.config.codebook_size

    @property
    def separator_id(self) -> int:
        return self.config.text_vocab_size

    @property
    def text_eos_id(self) -> int:
        """Text id after the last symbol."""
        return self.config.text_vocab_size + 1

    @property
    def bos_id(self) -> int:
        """Unit id before the first unit; as a prediction, the same index is EOS."""
        return self.config.codebook_size
