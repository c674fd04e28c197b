"""The table of tokenizers: one line each, imported only when asked for."""

import difflib
from pathlib import Path

from uslm_tokenizer.addresses import load_address
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.codecs.catalogue import TOKENIZERS as PRETRAINED
from uslm_tokenizer.codecs.transformers.base import transformers_family
from uslm_tokenizer.errors import MissingResource, UserError
from uslm_tokenizer.hub import CONFIG_FILE, read_description, resolve
from uslm_tokenizer.pretrained.store import Store

TOKENIZERS = {
    "unit_tokenizer": "uslm_tokenizer.codecs.unit_tokenizer.model:UnitTokenizer",
    "kmeans_units": "uslm_tokenizer.codecs.kmeans_units.model:KMeansUnits",
    "judged_units": "uslm_tokenizer.codecs.judged_units.model:JudgedUnits",
    "ssl_units": "uslm_tokenizer.codecs.ssl_units.model:SSLUnits",
    "source_filter_codec": "uslm_tokenizer.codecs.source_filter.model:SourceFilterCodec",
    "unit_codec": "uslm_tokenizer.codecs.unit_codec.model:UnitCodec",
    "waveform_codec": "uslm_tokenizer.codecs.waveform_codec.model:WaveformCodec",
    "maskgct_codec": "uslm_tokenizer.codecs.maskgct.model:MaskGCTCodec",
    "speech_tokenizer": "uslm_tokenizer.codecs.speech_tokenizer.model:SpeechTokenizer",
    "hifi_codec": "uslm_tokenizer.codecs.hifi_codec.model:HiFiCodec",
    "wav_tokenizer": "uslm_tokenizer.codecs.wav_tokenizer.model:WavTokenizer",
    "language_codec": "uslm_tokenizer.codecs.language_codec.model:LanguageCodec",
    "mimi_codec": "uslm_tokenizer.codecs.mimi.model:MimiCodec",
    "encodec": "uslm_tokenizer.codecs.transformers.model:Encodec",
    "dac": "uslm_tokenizer.codecs.transformers.model:Dac",
    "mimi": "uslm_tokenizer.codecs.transformers.model:Mimi",
    "xcodec": "uslm_tokenizer.codecs.transformers.model:XCodec",
}


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
