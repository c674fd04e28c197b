"""Signs that are said (&, @, +, ©) and signs that only lay out text (*, _, |)."""

# ruff: noqa: RUF001 (this file is about characters that look alike)

from __future__ import annotations

from uslm.text.english.rule import rule

SAID = {
    "&": "and", "@": "at", "+": "plus", "=": "equals", "©": "copyright", "®": "registered",
    "™": "trademark", "§": "section", "¶": "paragraph", "→": "to", "⇒": "implies", "←": "from",
    "±": "plus or minus", "×": "times", "÷": "divided by", "≈": "approximately equals",
    "≠": "does not equal", "≤": "is less than or equal to", "≥": "is greater than or equal to",
    "<": "is less than", ">": "is greater than", "∞": "infinity", "√": "the square root of",
    "π": "pi", "Δ": "delta", "Σ": "sigma", "µ": "micro", "μ": "micro", "α": "alpha", "β": "beta",
    "γ": "gamma", "λ": "lambda", "θ": "theta", "Ω": "omega", "ω": "omega", "№": "number",
    "%": "percent", "‰": "per mille", "°": "degrees", "$": "dollars", "£": "pounds", "€": "euros",
    "¥": "yen", "¢": "cents", "℃": "degrees Celsius", "℉": "degrees Fahrenheit", "\\": "backslash",
    "#": "number", "✓": "check", "✔": "check", "★": "star", "☆": "star", "♥": "heart", "^": "caret",
    "~": "about", "−": "minus", "₹": "rupees", "₿": "bitcoin", "₩": "won", "/": "slash",
}  # fmt: skip

TEX = {"": "", "La": "Lay-", "pdf": "P D F ", "Xe": "Zee-", "Lua": "Lua-", "Bib": "Bib-"}

RULES = (
    rule("AT&T", r"(?<!\w)([A-Z]{1,4}) ?& ?([A-Z]{1,4})(?!\w)",
         lambda m: f"{' '.join(m[1])} and {' '.join(m[2])}"),
    rule("C plus plus", r"\b([A-Z])\+\+(?!\w)", r"\1 plus plus"),
    rule("a circle, no degrees", r"(?<![\d\s])°(?![CFNSEW]\b)", " "),
    rule("sections", r"§§ ?", "sections "),
    rule("LaTeX", r"\b(La|pdf|Xe|Lua|Bib)?TeX\b", lambda m: f"{TEX[m[1] or '']}tek"),
    rule("grade", r"\b([A-DF])([+−])(?!\w)",
         lambda m: m[1] + (" plus" if m[2] == "+" else " minus")),
    rule("slash between words", r"(?<=\w) ?/ ?(?=\w)", " slash "),
    rule("underscore between words", r"(?<=[^\W_])_+(?=[^\W_])", " "),
    rule("layout", r"[*_`|\\^~#]{2,}|[*_`|]|(?<!\w)[#~^](?!\w)", " "),
    rule("less and greater", r"(?<=\w) ?([<>]) ?(?=\w)", lambda m: f" {SAID[m[1]]} "),
    rule("brackets of tags", r"[<>]", " "),
    rule("sign", f"[{''.join(chr(92) + sign for sign in SAID)}]", lambda m: f" {SAID[m[0]]} "),
)  # fmt: skip
