"""EnCodec as its authors published it; the network is that of transformers."""

from uslm_tokenizer.codecs.entry import Entry, pretrained_tokenizer
from uslm_tokenizer.pretrained.catalogue import System, Weights
from uslm_tokenizer.pretrained.source import WebFile


def pretrained(title: str, kind: str, sha256: str) -> System:
    """One of those published; the beginning of the hash stands in the file's name."""
    address = f"https://dl.fbaipublicfiles.com/encodec/v0/{kind}-{sha256}.th"
    file = WebFile(url=address, sha256=sha256)
    return pretrained_tokenizer(title, Weights(key_mapping=kind, file=file, config=kind))


ENTRY = Entry(
    key_mappings={
        "encodec_24khz": "uslm_tokenizer.codecs.encodec.checkpoint:ENCODEC_24KHZ",
        "encodec_48khz": "uslm_tokenizer.codecs.encodec.checkpoint:ENCODEC_48KHZ",
    },
    pretrained={
        "encodec-24khz-original": pretrained(
            "EnCodec as its authors published it", "encodec_24khz", "d7cc33bc"
        ),
        "encodec-48khz-original": pretrained(
            "EnCodec as its authors published it, stereo", "encodec_48khz", "7e698e3e"
        ),
    },
)
