"""Vevo's content tokenizer as published."""

from uslm_tokenizer.codecs.amphion import VEVO_CONTENT
from uslm_tokenizer.codecs.entry import Entry, pretrained_tokenizer

ENTRY = Entry(
    key_mappings={"vevo_content": "uslm_tokenizer.codecs.vevo_content.checkpoint:VEVO_CONTENT"},
    pretrained={"vevo-content": pretrained_tokenizer("Vevo's content tokenizer", VEVO_CONTENT)},
)
