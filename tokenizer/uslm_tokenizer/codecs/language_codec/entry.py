"""Language-Codec as published."""

from uslm_tokenizer.codecs.entry import Entry, pretrained_tokenizer
from uslm_tokenizer.pretrained.catalogue import Weights
from uslm_tokenizer.pretrained.source import HandFile

ADDRESS = "https://github.com/jishengpeng/Languagecodec (Google Drive)"

ENTRY = Entry(
    models={"language_codec": "uslm_tokenizer.codecs.language_codec.model:LanguageCodec"},
    key_mappings={
        "language_codec": "uslm_tokenizer.codecs.language_codec.checkpoint:LANGUAGE_CODEC"
    },
    pretrained={
        "languagecodec": pretrained_tokenizer(
            "Language-Codec",
            Weights(
                key_mapping="language_codec",
                file=HandFile(address=ADDRESS),
                config="languagecodec",
            ),
        ),
    },
)
