"""Amounts of money: symbols and codes, cents, millions, ranges, prices per something."""

# ruff: noqa: RUF001 (this file is about characters that look alike)

from __future__ import annotations

from re import Match

from uslm.text.english.numbers import cardinal, decimal
from uslm.text.english.rule import NUMBER, one_of, rule

# One unit, several, and the hundredth part likewise.
CURRENCIES = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "¥": ("yen", "yen", "sen", "sen"),
    "₹": ("rupee", "rupees", "paisa", "paise"),
    "₩": ("won", "won", "jeon", "jeon"),
    "₽": ("ruble", "rubles", "kopeck", "kopecks"),
    "₺": ("lira", "lira", "kurus", "kurus"),
    "₪": ("shekel", "shekels", "agora", "agorot"),
    "₿": ("bitcoin", "bitcoins", "", ""),
    "R$": ("Brazilian real", "Brazilian reais", "centavo", "centavos"),
    "₴": ("hryvnia", "hryvnias", "kopiyka", "kopiykas"),
    "₫": ("dong", "dong", "", ""),
    "₱": ("peso", "pesos", "centavo", "centavos"),
    "₦": ("naira", "naira", "kobo", "kobo"),
    "฿": ("baht", "baht", "satang", "satang"),
    "₡": ("colon", "colones", "", ""),
    "₸": ("tenge", "tenge", "", ""),
}
COUNTRIES = {"US": "U S", "A": "Australian", "AU": "Australian", "C": "Canadian"}
COUNTRIES |= {"MX": "Mexican", "Mex": "Mexican", "NT": "New Taiwan", "SG": "Singapore"}
COUNTRIES |= {"CA": "Canadian", "NZ": "New Zealand", "HK": "Hong Kong", "S": "Singapore"}
CODES = {
    "USD": ("U S dollar", "U S dollars"),
    "EUR": ("euro", "euros"),
    "GBP": ("British pound", "British pounds"),
    "JPY": ("yen", "yen"),
    "CHF": ("Swiss franc", "Swiss francs"),
    "CAD": ("Canadian dollar", "Canadian dollars"),
    "AUD": ("Australian dollar", "Australian dollars"),
    "INR": ("rupee", "rupees"),
    "CNY": ("yuan", "yuan"),
    "SEK": ("Swedish krona", "Swedish kronor"),
    "NOK": ("Norwegian krone", "Norwegian kroner"),
}
SCALES = {"k": "thousand", "K": "thousand", "mn": "million", "mm": "million", "m": "million"}
SCALES |= {"M": "million", "b": "billion", "bn": "billion", "B": "billion", "tn": "trillion"}
SCALES |= {"trn": "trillion", "T": "trillion"}
SCALES |= {word: word for word in ("hundred", "thousand", "million", "billion", "trillion")}

LOCAL = {
    "kr": ("krone", "kroner"), "Kč": ("Czech crown", "Czech crowns"), "zł": ("zloty", "zloty"),
    "Ft": ("forint", "forints"), "Rs": ("rupee", "rupees"), "RM": ("ringgit", "ringgit"),
    "Rp": ("rupiah", "rupiah"), "SFr": ("Swiss franc", "Swiss francs"), "lei": ("leu", "lei"),
    "Fr": ("franc", "francs"), "DM": ("Deutschmark", "Deutschmarks"), "руб": ("ruble", "rubles"),
}  # fmt: skip
"""Letters that stand before or after a sum, with or without a stop."""

SYMBOL = rf"(?:(?P<country>\b(?:{one_of(COUNTRIES)}))?(?P<symbol>{one_of(CURRENCIES)}))"
SCALE = rf"(?:[ -]?(?P<scale>{one_of(SCALES)})\b)?"


def _amount(match: Match[str]) -> str:
    """$5.50 -> five dollars and fifty cents; after 'a' and before a noun the unit is singular."""
    one, many, cent, cents = CURRENCIES[match["symbol"]]
    country = match.groupdict().get("country")
    prefix = f"{COUNTRIES[country]} " if country else ""
    number, scale = match["number"].replace(",", ""), match["scale"]
    adjective = match.groupdict().get("noun") is not None
    if scale:
        return f"{decimal(number)} {SCALES[scale]} {prefix}{one if adjective else many}"
    whole, _, part = number.partition(".")
    if part and (len(part) > 2 or not cent):
        return f"{decimal(number)} {prefix}{many}"
    hundredths = int(part.ljust(2, "0")) if part else 0
    segments = []
    if int(whole or 0) or not hundredths:
        unit = one if int(whole or 0) == 1 or adjective else many
        segments.append(f"{cardinal(whole)} {prefix}{unit}")
    if hundredths:
        segments.append(f"{cardinal(hundredths)} {cent if hundredths == 1 or adjective else cents}")
    return " and ".join(segments)


def _code(match: Match[str]) -> str:
    number = match["before"] or match["after"]
    one, many = CODES[match["code"] or match["code2"]]
    if match["scale"]:
        return f"{decimal(number)} {SCALES[match['scale']]} {many}"
    return f"{decimal(number)} {one if number == '1' else many}"


def _article_amount(match: Match[str]) -> str:
    return match["article"] + _amount(match)


def _european(match: Match[str]) -> str:
    """5,50 € has a decimal comma."""
    return f"{match['symbol']}{match['whole']}.{match['part']}"


def _local(match: Match[str]) -> str:
    number = match["before"] or match["after"]
    one, many = LOCAL[match["name"] or match["name2"]]
    scale = match["scale"]
    said = f"{decimal(number.replace(',', ''))}{f' {SCALES[scale]}' if scale else ''}"
    return f"{said} {one if number == '1' and not scale else many}"


RULES = (
    rule("country after the symbol", r"\$(A|AU|C|CA|NZ|HK|US|MX)(?=\d)", r"\1$"),
    rule("price per", rf"({SYMBOL}{NUMBER})-(an?|per)-([a-z]+)\b", lambda m: f"{m[1]} {m[4]} "
         f"{m[5]}"),
    rule("local currency", rf"(?<![\w.,])(?:(?P<before>{NUMBER})(?: (?P<scale>thousand|million"
         rf"|billion))? "
         rf"?(?P<name>{one_of(LOCAL.keys() - {'Fr', 'Rs', 'RM', 'Rp', 'Ft'})}|Rs|Ft(?= ?[.,;]| and"
         rf"| or|$))(?![\w])"
         rf"|(?P<name2>{one_of(LOCAL.keys() - {'lei', 'Ft'})})\.? ?(?P<after>{NUMBER})\b)", _local),
    rule("decimal comma", r"(?<![\w.,])(?P<whole>\d+),(?P<part>\d\d) ?(?P<symbol>[€£])", _european),
    rule("range of money", rf"(?P<first>{SYMBOL}{NUMBER}) ?[-–] ?(?P=symbol)?(?=\d)",
         r"\g<first> to \g<symbol>"),
    rule("range, first amount", rf"(?:{one_of(CURRENCIES)})(?P<number>\d+) to (?=[^\w\s]\d)",
         lambda m: f"{cardinal(m['number'])} to "),
    rule("money as adjective", rf"(?P<article>\b[Aa]n? ){SYMBOL} ?(?P<number>{NUMBER}){SCALE}"
         r"(?P<noun>(?=[ -](?!and\b|or\b|to\b|per\b|for\b|in\b|on\b|a\b|at\b)[a-z]))"
         r"(?![\w/])", _article_amount),
    rule("money", rf"{SYMBOL} ?(?P<number>{NUMBER}){SCALE}", _amount),
    rule("money, symbol after",
         rf"(?<![\w.,])(?P<number>{NUMBER}) ?(?P<symbol>[€£¥₹₩₽₺₪])(?P<scale>)",
         _amount),
    rule("cents", rf"(?<![\w.,])({NUMBER}) ?¢",
         lambda m: decimal(m[1]) + (" cent" if m[1] == "1" else " cents")),
    rule("currency code", rf"(?<![\w.,])(?:(?P<before>{NUMBER}){SCALE} ?(?P<code>{one_of(CODES)})"
         rf"|(?P<code2>{one_of(CODES)}) ?(?P<after>{NUMBER}))\b", _code),
)  # fmt: skip
