"""The checkpoint of Vevo's vocoder; it is a part of Vevo, and no codec."""

from uslm_tokenizer.codecs.entry import Entry

ENTRY = Entry(
    key_mappings={"vevo_vocoder": "uslm_tokenizer.codecs.vevo_vocoder.checkpoint:VEVO_VOCODER"}
)
