"""The table of all published layouts: the tokenizers' and the language models'."""

from uslm_tokenizer.pretrained.registry import LAYOUTS as TOKENIZER_LAYOUTS

LAYOUTS: dict[str, str] = {
    **TOKENIZER_LAYOUTS,
    "maskgct_t2s": "uslm.systems.maskgct.checkpoint:T2S",
    "maskgct_s2a": "uslm.systems.maskgct.checkpoint:S2A",
    "valle": "uslm.systems.valle.checkpoint:VALLE",
    "vevo_flow": "uslm.systems.vevo.checkpoint:VEVO_FLOW",
    "vevo_lm": "uslm.systems.vevo.checkpoint:VEVO_LM",
}
"""Name to "module:NAME" of a Layout."""
