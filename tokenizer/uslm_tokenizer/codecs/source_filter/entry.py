"""The codec of units, pitch and residual codes, by its name."""

from uslm_tokenizer.codecs.entry import Entry

ENTRY = Entry(
    models={"source_filter_codec": "uslm_tokenizer.codecs.source_filter.model:SourceFilterCodec"}
)
