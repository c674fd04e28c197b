"""The models that a pretrained system is made of: given, or in a folder and loaded when needed."""

import threading
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import torch

from uslm.models.device import move, read_dtype
from uslm_tokenizer.errors import ConfigError, MissingResource
from uslm_tokenizer.hub import WEIGHTS_FILE, PretrainedModel, read_description
from uslm_tokenizer.registry import TOKENIZERS, tokenizer_class
from uslm_tokenizer.weight_hash import Weights, earlier_hash_of_parts, weight_hash

Model = TypeVar("Model", bound=PretrainedModel)


class Parts:
    """Models by name. One that is never asked for is never loaded."""

    def __init__(
        self,
        models: Mapping[str, PretrainedModel] | None = None,
        *,
        folder: Path | None = None,
        device: str | torch.device = "cpu",
        dtype: torch.dtype | str | None = None,
        narrow: Collection[str] = (),
        outline: bool = False,
    ) -> None:
        """`dtype` is the precision of the parts named in `narrow`; others work in float32. Those of
        an outline have no weights."""
        self._models, self._folder = dict(models or {}), folder
        self._device, self._narrow, self._outline = device, frozenset(narrow), outline
        self._dtype = torch.float32 if dtype is None else read_dtype(dtype)
        self._lock = threading.RLock()

    def __contains__(self, name: str) -> bool:
        """Whether it can be had."""
        return name in self._models or (
            self._folder is not None and (self._folder / name / WEIGHTS_FILE).is_file()
        )

    def get(self, name: str, kind: type[Model]) -> Model:
        """The part, in eval mode. Raises MissingResource if there is none."""
        with self._lock:
            if name not in self._models:
                if name not in self:
                    raise MissingResource(f"{self._folder or 'this model'} has no part {name!r}")
                assert self._folder is not None
                self._models[name] = self._load(self._folder / name, kind)
            model = self._models[name]
        assert isinstance(model, kind), f"part {name!r} must be a {kind.__name__}"
        return model

    def _load(self, folder: Path, kind: type[Model]) -> Model:
        kind = _kind_in(folder, kind)
        if self._outline:
            return kind.outline(folder)
        loaded = kind.from_pretrained(folder)
        move((loaded,), self._device)
        return loaded.to(self._dtype if folder.name in self._narrow else torch.float32)

    def hash(self, *names: str) -> str:
        """Tells these parts from any others; those that are not there count as absent.

        Those of a folder are looked up there, whatever precision they work in.
        """
        return weight_hash(**self._weights(names))

    def earlier_hash(self, *names: str) -> str:
        """The hash in voices of before."""
        return earlier_hash_of_parts(**self._weights(names))

    def _weights(self, names: Iterable[str]) -> dict[str, Weights]:
        found: dict[str, Weights] = {}
        for name in names:
            path = None if self._folder is None else self._folder / name / WEIGHTS_FILE
            if path is not None and path.is_file():
                found[name] = path
            elif name in self._models:
                found[name] = self._models[name]
        return found


def _kind_in(folder: Path, kind: type[Model]) -> type[Model]:
    """The tokenizer that lies in the folder, where it is one of the kind that is asked for."""
    found = read_description(folder)["model_type"]
    if found in TOKENIZERS and issubclass(other := tokenizer_class(found), kind):
        return other
    return kind


def check_equal(part: str, found: int, wanted: int, what: str) -> None:
    """Raise ConfigError unless a part was made for as many as the others."""
    if found != wanted:
        raise ConfigError(f"{part} was made for {found} {what}, but the others have {wanted}")
