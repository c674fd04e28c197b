"""Writing of programmers: operators, file names and paths, versions and models, ports."""

# ruff: noqa: RUF001 (this file is about characters that look alike)

from __future__ import annotations

import re
from re import Match

from uslm.text.english.numbers import cardinal, decimal, digits
from uslm.text.english.rule import NUMBER, one_of, rule, words

# The longest first; a comparison after "if" or at the start has no "is".
COMPARED = {
    "<=": "less than or equal to", ">=": "greater than or equal to", "≤": "less than or equal to",
    "≥": "greater than or equal to", "<": "less than", ">": "greater than",
}  # fmt: skip
OPERATORS = {
    "===": "equals", "!==": "does not equal", "==": "equals", "!=": "does not equal",
    "=>": "implies", "->": "to", "<-": "from", "<->": "to and from", "&&": "and", "||": "or",
    ":=": "becomes", "+=": "plus equals", "-=": "minus equals", "*=": "times equals",
    "/=": "divided by equals", "~=": "is about", "+/-": "plus or minus", "<>": "does not equal",
}  # fmt: skip
# After one of these, "< 5" is the whole of what is said: we need less than five.
OPENS_COMPARISON = words(
    "and or if but of with for over about only just in at to need needs needed is are was were be "
    "been takes took take has have had costs cost weighs weigh requires require uses use used keep "
    "kept all any an the not by from than when where while until unless under get gets got stay "
    "stays pay pays paid last lasts lasted want wants wanted score scored scores either often"
)
# How an ending is said where it is not spelled.
ENDINGS = {
    "json": "Jason", "zip": "zip", "toml": "toml", "yaml": "yaml", "wav": "wav", "gif": "gif",
    "doc": "doc", "log": "log", "exe": "E X E", "jpeg": "Jpeg", "net": "net", "lock": "lock",
    "env": "env", "conf": "conf", "tar": "tar", "bin": "bin", "dat": "dat", "bat": "bat",
    "tex": "tek", "go": "go", "java": "java", "swift": "swift", "patch": "patch", "bak": "back",
}  # fmt: skip
SPELLED_ENDINGS = [
    "md",
    "py",
    "js",
    "ts",
    "jsx",
    "tsx",
    "mjs",
    "txt",
    "pdf",
    "html",
    "htm",
    "css",
    "scss",
    "csv",
    "tsv",
    "xml",
    "sql",
    "yml",
    "png",
    "jpg",
    "svg",
    "mp3",
    "mp4",
    "wav",
    "flac",
    "ogg",
    "cpp",
    "hpp",
    "cc",
    "rs",
    "rb",
    "sh",
    "ps1",
    "php",
    "docx",
    "xlsx",
    "pptx",
    "xls",
    "ppt",
    "ini",
    "cfg",
    "ipynb",
    "gz",
    "tgz",
    "rst",
    "dll",
    "pt",
    "rtf",
    "epub",
    "avi",
    "mkv",
    "mov",
    "psd",
    "iso",
    "apk",
    "jar",
]
ENDING = one_of({*ENDINGS, *SPELLED_ENDINGS} - {"go", "java", "swift", "net", "log", "doc", "bin"})
SIGNS = {"/": "slash", "~": "tilde", ".": "dot", "_": "underscore", "-": "dash"}
MEASURED_IN = r"(?:[kKMGT]?i?[Bb](?:ps)?|[kMG]?Hz|[kmcµn]?[mgAVWsl]|in|ft|lbs?|oz|x|st|nd|rd|th)\b"


def _compared(match: Match[str]) -> str:
    """x >= 5 has an "is"; "if >= 5" and ">5 people" have none."""
    before = match.string[max(0, match.start() - 24) : match.start()].rstrip()
    tight = match[1] == "" and before and (before[-1].isalnum() or before[-1] in ")]'\"")
    last = before.split()[-1].lower() if before.split() else ""
    unary = (
        not last
        or not (last[-1].isalnum() or last[-1] in ")]'\"%°")
        or (last in OPENS_COMPARISON or (match[1] and not match[3]))
    )
    if unary and not tight and not re.match(r"[\d.$£€+−-]", match.string[match.end() :][:1]):
        return " "  # > before a quotation, or the rest of a tag
    said = COMPARED[match[2]]
    return f" {said} " if unary and not tight else f" is {said} "


def _ending(name: str) -> str:
    return ENDINGS.get(name.lower()) or " ".join(
        digits(part) if part.isdecimal() else " ".join(part.upper())
        for part in re.findall(r"\d+|[a-zA-Z]+", name)
    )


def _file(match: Match[str]) -> str:
    return f"{match[1].replace('.', ' dot ').replace('_', ' ')} dot {_ending(match[2])}"


def _path(match: Match[str]) -> str:
    """~/notes/todo.txt -> tilde slash notes slash todo dot T X T."""
    path = match[0].rstrip(".-")
    stem, dot, ending = path.rpartition(".")
    known = dot and re.fullmatch(ENDING, ending)
    parts = re.findall(r"[A-Za-z]+|\d+|[~/._-]", stem if known else path)
    said = " ".join(SIGNS.get(part, part) for part in parts)
    return said + (f" dot {_ending(ending)}" if known else "") + match[0][len(path) :]


def _points(number: str) -> str:
    return decimal(number) if number.count(".") < 2 else number


def _model(match: Match[str]) -> str:
    """Qwen2.5-72B -> Qwen two point five, seventy-two B."""
    joint = match["joint"] or " "
    size = f"{decimal(match['size'])} {match['unit'].upper()}"
    return f"{match['name']}{joint}{_points(match['version'])}, {size}"


def _wireless(match: Match[str]) -> str:
    kinds = ", ".join(" ".join(kind.upper()) for kind in (match[2] or "").split("/"))
    return f"eight oh two point {cardinal(match[1])} {kinds}".rstrip()


def _port(match: Match[str]) -> str:
    return f"{match[1]}, colon, {cardinal(match[2]) if len(match[2]) < 6 else digits(match[2])}"


RULES = (
    rule("path", r"(?<![\w.~/:])(?:~/|\.{1,2}/|/)(?:[\w.-]{1,80}/)*[\w.-]{1,80}(?<![\s/])(?<!/\d)"
         r"(?<=[A-Za-z.\d])(?=[\s,;:!?)]|$)", lambda m: _path(m) if re.search("[A-Za-z]", m[0]) and
         ("~" in m[0] or m[0].count("/") > 1 or m[0][0] == ".") else m[0]),
    rule("file name", rf"(?<![\w.@/~-])(\w[\w-]{{0,60}}(?:\.[\w-]{{1,40}})?)\.({ENDING})(?![\w-]"
         rf"|\.\w)",
         _file),
    rule("dot net", r"(?<![\w])\.NET\b|(?<=ASP)\.NET\b|(?<=VB)\.NET\b", " dot net"),
    rule("wireless standard", r"\b802\.(1[15])([a-z]{1,2}(?:/[a-z]{1,2}){0,5})?\b", _wireless),
    rule("model and size", rf"\b(?P<name>[A-Z][A-Za-z]{{1,20}})(?P<joint>[- ])?"
         rf"(?P<version>\d{{1,2}}(?:\.\d+)?)[- ](?P<size>{NUMBER})(?P<unit>[BMbm])\b"
         r"(?! (?:people|users|dollars))", _model),
    rule("letters before a decimal", r"(?<=[A-Za-z]{2})(?=\d+\.\d)(?<![vV]\.)", " "),
    rule("port", r"\b(localhost|(?:\d{1,3}\.){3}\d{1,3}):(\d{2,5})\b(?![:.]\d)", _port),
    rule("conditions in brackets", r"\(([^()]{1,80}(?:&&|\|\|)[^()]{1,80})\)", r"\1"),
    rule("a heart", r"(?i)\b((?:i|we|you|they|really|also|who|just) )<3+(?=\s|[.,!?]|$)"
         r"(?! (?:hours?|minutes?|days?|people|times|percent|years?|weeks?)\b)", r"\1love"),
    rule("a heart at the end", r"(?<=\w )<3+(?=\s*[.!?]*$)", "love"),
    rule("operator of several signs",
         rf"(?<![=<>!&|+*/~-]) ?({one_of(OPERATORS)}) ?(?![=<>!&|*/~])(?=.)",
         lambda m: f" {OPERATORS[m[1]]} "),
    rule("drawn arrow", r"(?<![\w=<>-])(?:={2,}|-{2,})>(?!\w)", " "),
    rule("comparison", r"( ?)(<=|>=|[≤≥<>])( ?)(?=[\w(\"'.$£€+−-])", _compared),
)  # fmt: skip
