"""The table of published layouts: one line each, imported only when asked for."""

import re
from collections.abc import Iterable, Mapping

from uslm_tokenizer.addresses import load_address
from uslm_tokenizer.errors import CheckpointError, UserError
from uslm_tokenizer.pretrained.layout import Layout

LAYOUTS: dict[str, str] = {
    "encodec_24khz": "uslm_tokenizer.codecs.encodec.checkpoint:ENCODEC_24KHZ",
    "encodec_48khz": "uslm_tokenizer.codecs.encodec.checkpoint:ENCODEC_48KHZ",
    "wav_tokenizer": "uslm_tokenizer.codecs.wav_tokenizer.checkpoint:WAV_TOKENIZER",
    "language_codec": "uslm_tokenizer.codecs.language_codec.checkpoint:LANGUAGE_CODEC",
    "speech_tokenizer": "uslm_tokenizer.codecs.speech_tokenizer.checkpoint:SPEECH_TOKENIZER",
    "hifi_codec": "uslm_tokenizer.codecs.hifi_codec.checkpoint:HIFI_CODEC",
    "mimi": "uslm_tokenizer.codecs.mimi.checkpoint:MIMI",
    "repcodec": "uslm_tokenizer.codecs.repcodec.checkpoint:REPCODEC",
    "maskgct_encoder": "uslm_tokenizer.codecs.maskgct.checkpoint:ENCODER",
    "maskgct_decoder": "uslm_tokenizer.codecs.maskgct.checkpoint:DECODER",
    "vevo_content": "uslm_tokenizer.codecs.vevo_content.checkpoint:VEVO_CONTENT",
    "vevo_vocoder": "uslm_tokenizer.codecs.vevo_vocoder.checkpoint:VEVO_VOCODER",
}
"""Name to "module:NAME" of a Layout."""


def get_layout(name: str, table: Mapping[str, str] = LAYOUTS) -> Layout:
    """The layout that the table names so."""
    if name not in table:
        raise UserError(f"no published layout named {name!r}; there are {sorted(table)}")
    layout: Layout = load_address(table[name])
    return layout


def layout_of_system(system: str, table: Mapping[str, str] = LAYOUTS) -> Layout:
    """The layout that serves a `system` string; the longest beginning decides."""
    found = [
        (len(beginning), layout)
        for layout in (get_layout(name, table) for name in table)
        for beginning in layout.systems
        if system.startswith(beginning)
    ]
    if not found:
        raise UserError(f"no published layout serves the system {system!r}")
    return max(found, key=lambda pair: pair[0])[1]


def recognise(names: Iterable[str], table: Mapping[str, str] = LAYOUTS) -> list[str]:
    """Names of the layouts whose signature keys are all among the tensor `names`, the surest
    first."""
    names = list(names)
    found = []
    for name in table:
        keys = [re.compile(key) for key in get_layout(name, table).signature_keys]
        if keys and all(any(map(key.fullmatch, names)) for key in keys):
            found.append((len(keys), name))
    return [name for _, name in sorted(found, key=lambda pair: -pair[0])]


def expect(
    layout: Layout, names: Iterable[str], table: Mapping[str, str] = LAYOUTS, where: str = "this"
) -> None:
    """Raise CheckpointError, saying what it looks like instead, if it is not of this layout."""
    names = list(names)
    found = recognise(names, table)
    if layout.name in found:
        return
    if found:
        raise CheckpointError(
            f"{where} is not a checkpoint of {layout.name}; it looks like {' or '.join(found)}"
        )
    shown = ", ".join(names[:3]) + (", ..." if names[3:] else "")
    raise CheckpointError(
        f"{where} is not a checkpoint of {layout.name}; "
        f"its {len(names)} tensors ({shown}) look like nothing known"
    )
