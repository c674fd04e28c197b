"""Key mappings of a table: by name, by what a file says of itself, by names of tensors.

A table is a name to the "module:NAME" of a `KeyMapping`, imported only when asked for.
"""

import re
from collections.abc import Iterable, Mapping

from uslm_tokenizer.addresses import load_address
from uslm_tokenizer.errors import CheckpointError, UserError
from uslm_tokenizer.pretrained.key_mapping import KeyMapping


def get_key_mapping(name: str, table: Mapping[str, str]) -> KeyMapping:
    """The key mapping that the table names so."""
    if name not in table:
        raise UserError(f"no published layout named {name!r}; there are {sorted(table)}")
    key_mapping: KeyMapping = load_address(table[name])
    return key_mapping


def key_mapping_of_system(system: str, table: Mapping[str, str]) -> KeyMapping:
    """The key mapping that serves a `system` string; the longest beginning decides."""
    found = [
        (len(beginning), key_mapping)
        for key_mapping in (get_key_mapping(name, table) for name in table)
        for beginning in key_mapping.systems
        if system.startswith(beginning)
    ]
    if not found:
        raise UserError(f"no key mapping serves the system {system!r}")
    return max(found, key=lambda pair: pair[0])[1]


def recognise(names: Iterable[str], table: Mapping[str, str]) -> list[str]:
    """Names of the key mappings whose signature keys are all among the tensor `names`, the surest
    first."""
    names = list(names)
    found = []
    for name in table:
        keys = [re.compile(key) for key in get_key_mapping(name, table).signature_keys]
        if keys and all(any(map(key.fullmatch, names)) for key in keys):
            found.append((len(keys), name))
    return [name for _, name in sorted(found, key=lambda pair: -pair[0])]


def expect(
    key_mapping: KeyMapping,
    names: Iterable[str],
    table: Mapping[str, str],
    where: str = "this",
) -> None:
    """Raise CheckpointError, saying what it looks like instead, if it is not of this key
    mapping."""
    names = list(names)
    found = recognise(names, table)
    if key_mapping.name in found:
        return
    if found:
        raise CheckpointError(
            f"{where} is not a checkpoint of {key_mapping.name}; it looks like {' or '.join(found)}"
        )
    shown = ", ".join(names[:3]) + (", ..." if names[3:] else "")
    raise CheckpointError(
        f"{where} is not a checkpoint of {key_mapping.name}; "
        f"its {len(names)} tensors ({shown}) look like nothing known"
    )
