"""RepCodec as published: MaskGCT's semantic codec, and Vevo's content-style tokenizer."""

from uslm_tokenizer.codecs.amphion import MASKGCT_SEMANTIC, VEVO_STYLE
from uslm_tokenizer.codecs.entry import Entry, pretrained_tokenizer

ENTRY = Entry(
    key_mappings={"repcodec": "uslm_tokenizer.codecs.repcodec.checkpoint:REPCODEC"},
    pretrained={
        "maskgct-semantic": pretrained_tokenizer("MaskGCT's semantic codec", MASKGCT_SEMANTIC),
        "vevo-style": pretrained_tokenizer("Vevo's content-style tokenizer", VEVO_STYLE),
    },
)
