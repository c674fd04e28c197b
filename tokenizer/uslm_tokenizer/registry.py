"""The table of codecs: a line each; what there is to know of one stands in its folder's entry."""

import difflib
from pathlib import Path

from uslm_tokenizer.addresses import load_address
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.codecs.entry import Entry
from uslm_tokenizer.codecs.transformers.base import transformers_family
from uslm_tokenizer.errors import MissingResource, UserError
from uslm_tokenizer.hub import CONFIG_FILE, read_description, resolve
from uslm_tokenizer.pretrained.catalogue import Catalogue
from uslm_tokenizer.pretrained.store import Store

CODECS = {
    "unit_tokenizer": "uslm_tokenizer.codecs.unit_tokenizer.entry:ENTRY",
    "kmeans_units": "uslm_tokenizer.codecs.kmeans_units.entry:ENTRY",
    "judged_units": "uslm_tokenizer.codecs.judged_units.entry:ENTRY",
    "masked_units": "uslm_tokenizer.codecs.masked_units.entry:ENTRY",
    "ssl_units": "uslm_tokenizer.codecs.ssl_units.entry:ENTRY",
    "source_filter": "uslm_tokenizer.codecs.source_filter.entry:ENTRY",
    "pitch_tokens": "uslm_tokenizer.codecs.pitch_tokens.entry:ENTRY",
    "unit_codec": "uslm_tokenizer.codecs.unit_codec.entry:ENTRY",
    "waveform_codec": "uslm_tokenizer.codecs.waveform_codec.entry:ENTRY",
    "vae": "uslm_tokenizer.codecs.vae.entry:ENTRY",
    "audio_vae": "uslm_tokenizer.codecs.audio_vae.entry:ENTRY",
    "speech_tokenizer": "uslm_tokenizer.codecs.speech_tokenizer.entry:ENTRY",
    "wav_tokenizer": "uslm_tokenizer.codecs.wav_tokenizer.entry:ENTRY",
    "language_codec": "uslm_tokenizer.codecs.language_codec.entry:ENTRY",
    "hifi_codec": "uslm_tokenizer.codecs.hifi_codec.entry:ENTRY",
    "repcodec": "uslm_tokenizer.codecs.repcodec.entry:ENTRY",
    "maskgct": "uslm_tokenizer.codecs.maskgct.entry:ENTRY",
    "vevo_content": "uslm_tokenizer.codecs.vevo_content.entry:ENTRY",
    "vevo_vocoder": "uslm_tokenizer.codecs.vevo_vocoder.entry:ENTRY",
    "mimi": "uslm_tokenizer.codecs.mimi.entry:ENTRY",
    "encodec": "uslm_tokenizer.codecs.encodec.entry:ENTRY",
    "transformers": "uslm_tokenizer.codecs.transformers.entry:ENTRY",
}
"""Folder of a codec to the address of its entry."""

ENTRIES: dict[str, Entry] = {name: load_address(address) for name, address in CODECS.items()}
TOKENIZERS = {name: address for entry in ENTRIES.values() for name, address in entry.models.items()}
"""Kind of tokenizer, as config.json names it, to "module:Class"."""

PRETRAINED = Catalogue(
    systems={name: each for entry in ENTRIES.values() for name, each in entry.pretrained.items()},
    key_mappings={
        name: address for entry in ENTRIES.values() for name, address in entry.key_mappings.items()
    },
)
"""The pretrained tokenizers, by the names that commands take.

A revision stands in an entry where a commit was known when it was written; what was found later is
in pretrained/pins.py. What has neither is compared with its first download.
"""


def tokenizer_class(name: str) -> type[AudioTokenizer]:
    """The class that the table names so."""
    if name not in TOKENIZERS:
        raise UserError(f"no tokenizer named {name!r}; there are {sorted(TOKENIZERS)}")
    loaded: type[AudioTokenizer] = load_address(TOKENIZERS[name])
    return loaded


def load_tokenizer(
    name_or_path: str | Path, *, revision: str | None = None, local_files_only: bool = False
) -> AudioTokenizer:
    """A saved tokenizer, or a pretrained one, whichever class its config.json names.

    A folder or a repository of the Hub, in our layout or that of transformers; or a name of the
    catalogue, which is downloaded and converted first where that is still to do.
    """
    folder = _find(name_or_path, revision=revision, local_files_only=local_files_only)
    name = transformers_family(folder) or read_description(folder)["model_type"]
    return tokenizer_class(name).from_pretrained(folder)


def outline_tokenizer(folder: Path) -> AudioTokenizer:
    """A saved tokenizer of ours without its weights, see `PretrainedModel.outline`."""
    return tokenizer_class(read_description(folder)["model_type"]).outline(folder)


def _find(name_or_path: str | Path, *, revision: str | None, local_files_only: bool) -> Path:
    name = str(name_or_path)
    is_pretrained = name in PRETRAINED.systems
    if (
        "/" in name
        or (Path(name) / CONFIG_FILE).is_file()
        or (Path(name).exists() and not is_pretrained)
    ):
        return resolve(name_or_path, revision=revision, local_files_only=local_files_only)
    if not is_pretrained:
        near = difflib.get_close_matches(name, PRETRAINED.systems, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"they are {sorted(PRETRAINED.systems)}"
        raise MissingResource(f"no model folder at {name!r}, and no pretrained tokenizer; {hint}")
    if revision is not None:
        raise UserError(f"revision must not be given for {name!r}, whose revision is pinned")
    return Store(catalogue=PRETRAINED).folder(name, offline=local_files_only)
