"""LST: a language model that goes on from speech; trained here, published nowhere."""

from uslm.systems.entry import Entry

ENTRY = Entry(models={"patch_lm": "uslm.systems.lst.model:PatchLM"})
