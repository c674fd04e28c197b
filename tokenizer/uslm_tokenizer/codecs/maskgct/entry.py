"""MaskGCT's acoustic codec as published."""

from uslm_tokenizer.codecs.amphion import MASKGCT_ACOUSTIC
from uslm_tokenizer.codecs.entry import Entry, pretrained_tokenizer

ENTRY = Entry(
    models={"maskgct_codec": "uslm_tokenizer.codecs.maskgct.model:MaskGCTCodec"},
    key_mappings={
        "maskgct_encoder": "uslm_tokenizer.codecs.maskgct.checkpoint:ENCODER",
        "maskgct_decoder": "uslm_tokenizer.codecs.maskgct.checkpoint:DECODER",
    },
    pretrained={
        "maskgct-acoustic": pretrained_tokenizer("MaskGCT's acoustic codec", MASKGCT_ACOUSTIC)
    },
)
