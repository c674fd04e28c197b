"""The table of all published layouts: the tokenizers' and the language models'."""

from uslm_tokenizer.published.registry import LAYOUTS as TOKENIZER_LAYOUTS

LAYOUTS: dict[str, str] = {
    **TOKENIZER_LAYOUTS,
    "maskgct_t2s": "uslm.published.maskgct:T2S",
    "maskgct_s2a": "uslm.published.maskgct:S2A",
    "valle": "uslm.published.valle:VALLE",
    "vevo_flow": "uslm.published.vevo:VEVO_FLOW",
    "vevo_lm": "uslm.published.vevo:VEVO_LM",
}
"""Name to "module:NAME" of a Layout."""
