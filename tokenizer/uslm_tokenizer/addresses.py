"""Things by their address, "module:Name": imported when they are asked for, and not before."""

from importlib import import_module
from typing import Any


def load_address(address: str) -> Any:
    """The object that an address names; whoever asks says what type it is of."""
    module, _, name = address.partition(":")
    return getattr(import_module(module), name)
