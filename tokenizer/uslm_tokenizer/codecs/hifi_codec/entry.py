"""HiFi-Codec as published."""

from uslm_tokenizer.codecs.entry import Entry, pretrained_tokenizer
from uslm_tokenizer.pretrained.catalogue import System, Weights
from uslm_tokenizer.pretrained.source import HandFile, HubFile, Source


def pretrained(title: str, file: Source, config: str) -> System:
    """One of those published."""
    weights = Weights(key_mapping="hifi_codec", file=file, config=config)
    return pretrained_tokenizer(f"HiFi-Codec, {title}", weights)


def hub_file(path: str) -> HubFile:
    """A file of its authors' repository."""
    return HubFile(repo="Dongchao/AcademiCodec", path=path)


ENTRY = Entry(
    models={"hifi_codec": "uslm_tokenizer.codecs.hifi_codec.model:HiFiCodec"},
    key_mappings={"hifi_codec": "uslm_tokenizer.codecs.hifi_codec.checkpoint:HIFI_CODEC"},
    pretrained={
        "hificodec-16k-320": pretrained(
            "16 kHz, 320 samples per frame", hub_file("HiFi-Codec-16k-320d"), "hificodec_16k_320"
        ),
        "hificodec-24k-320": pretrained(
            "24 kHz, 320 samples per frame", hub_file("HiFi-Codec-24k-320d"), "hificodec_24k_320"
        ),
        "hificodec-24k-240": pretrained(
            "24 kHz, 100 Hz",
            HandFile(address="https://github.com/yangdongchao/AcademiCodec"),
            "hificodec_24k_240",
        ),
    },
)
