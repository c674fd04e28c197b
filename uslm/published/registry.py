"""The table of all published layouts: the tokenizers' and the language models'."""

from uslm_tokenizer.published.registry import LAYOUTS as TOKENIZER_LAYOUTS

LAYOUTS: dict[str, str] = {
    **TOKENIZER_LAYOUTS,
}
"""Name to "module:NAME" of a Layout."""
