"""States that a frozen language model of transformers has of the words of a text.

DM-Codec (Ahasan et al. 2024) teaches a codec with them. There BERT's tokens are laid out one a
frame; here words have states too, so that each can be put where it is said.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from uslm_tokenizer.errors import ConfigError, MissingResource
from uslm_tokenizer.transformers_package import import_transformers

NEED = "a language model as a teacher needs"


class WordStates:
    """A frozen language model that reads; no part of what it teaches."""

    def __init__(self, model: Any, text_tokenizer: Any, layers: tuple[int, ...] = ()) -> None:
        """`layers` whose mean is the state, counted from 1; none: all, and the embeddings too.

        ConfigError for a layer that is not there, and for a tokenizer that does not tell which
        word a token is of.
        """
        self.model = model.requires_grad_(False).eval()
        self.text_tokenizer, self.layers = text_tokenizer, layers
        count = int(model.config.num_hidden_layers)
        if layers and not 1 <= min(layers) <= max(layers) <= count:
            raise ConfigError(f"language.layers must be from 1 to {count}, but are {layers}")
        if not getattr(text_tokenizer, "is_fast", False):
            raise ConfigError("language.name must have a fast tokenizer, which knows its words")

    @classmethod
    def load(cls, name_or_path: str, layers: tuple[int, ...] = ()) -> "WordStates":
        """A folder or a model of the Hub. MissingResource where there is none."""
        transformers = import_transformers(NEED)
        try:
            model = transformers.AutoModel.from_pretrained(name_or_path, dtype=torch.float32)
            text_tokenizer = transformers.AutoTokenizer.from_pretrained(name_or_path)
        except (OSError, ValueError) as problem:
            reason = str(problem).strip().splitlines()[0]
            raise MissingResource(f"no language model at {name_or_path!r}: {reason}") from problem
        return cls(model, text_tokenizer, layers)

    @property
    def dim(self) -> int:
        """Width of a state."""
        return int(self.model.config.hidden_size)

    def to(self, device: torch.device) -> "WordStates":
        """Move the model."""
        self.model.to(device)
        return self

    @torch.no_grad()
    def words(self, words: Sequence[str]) -> Float[Tensor, "w d"]:
        """A state for each word: the mean of its tokens, zero if it has none."""
        found = self.text_tokenizer(
            list(words), is_split_into_words=True, truncation=True, return_tensors="pt"
        )
        states = self._states(found)
        places = [-1 if word is None else word for word in found.word_ids()]
        own = torch.tensor(places)[:, None] == torch.arange(len(words))
        shares = own.float() / own.sum(0).clamp(min=1)
        return shares.T @ states

    @torch.no_grad()
    def tokens(self, text: str) -> Float[Tensor, "t d"]:
        """A state for each token, the marks at both ends included: what DM-Codec lays out."""
        return self._states(self.text_tokenizer(text, truncation=True, return_tensors="pt"))

    def _states(self, tokens: Any) -> Float[Tensor, "t d"]:
        device = next(self.model.parameters()).device
        given = {name: tokens[name].to(device) for name in ("input_ids", "attention_mask")}
        every = self.model(**given, output_hidden_states=True).hidden_states
        chosen = [every[i] for i in self.layers] if self.layers else list(every)
        mean: Tensor = torch.stack(chosen).mean(0)[0].float().cpu()
        return mean
