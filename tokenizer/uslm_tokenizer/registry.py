"""The table of tokenizers: one line each, imported only when asked for."""

from importlib import import_module
from pathlib import Path

from uslm_tokenizer.acoustic.transformers_codec import transformers_family
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.errors import UserError
from uslm_tokenizer.hub import read_description, resolve

TOKENIZERS = {
    "unit_tokenizer": "uslm_tokenizer.semantic.unit_tokenizer:UnitTokenizer",
    "kmeans_units": "uslm_tokenizer.semantic.kmeans_units:KMeansUnits",
    "ssl_units": "uslm_tokenizer.semantic.ssl_units:SSLUnits",
    "unit_codec": "uslm_tokenizer.acoustic.unit_codec:UnitCodec",
    "maskgct_codec": "uslm_tokenizer.acoustic.maskgct_codec:MaskGCTCodec",
    "speech_tokenizer": "uslm_tokenizer.acoustic.speech_tokenizer:SpeechTokenizer",
    "hifi_codec": "uslm_tokenizer.acoustic.hifi_codec:HiFiCodec",
    "wav_tokenizer": "uslm_tokenizer.acoustic.wav_tokenizer:WavTokenizer",
    "language_codec": "uslm_tokenizer.acoustic.language_codec:LanguageCodec",
    "encodec": "uslm_tokenizer.acoustic.adapters:Encodec",
    "dac": "uslm_tokenizer.acoustic.adapters:Dac",
    "mimi": "uslm_tokenizer.acoustic.adapters:Mimi",
    "xcodec": "uslm_tokenizer.acoustic.adapters:XCodec",
}


def tokenizer_class(name: str) -> type[AudioTokenizer]:
    """The class that the table names so."""
    if name not in TOKENIZERS:
        raise UserError(f"no tokenizer named {name!r}; there are {sorted(TOKENIZERS)}")
    module, _, attribute = TOKENIZERS[name].partition(":")
    loaded: type[AudioTokenizer] = getattr(import_module(module), attribute)
    return loaded


def load_tokenizer(
    name_or_path: str | Path, *, revision: str | None = None, local_files_only: bool = False
) -> AudioTokenizer:
    """Any saved tokenizer, whichever class its config.json names, ours or that of transformers."""
    folder = resolve(name_or_path, revision=revision, local_files_only=local_files_only)
    name = transformers_family(folder) or read_description(folder)["model_type"]
    return tokenizer_class(name).from_pretrained(folder)
