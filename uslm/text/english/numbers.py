"""Numbers as English words: the arithmetic half; no regular expressions over running text here."""

# ruff: noqa: RUF001 (this file is about characters that look alike)

from __future__ import annotations

from uslm.text.english.rule import in_order

ONES = in_order(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
)
TENS = in_order("_ _ twenty thirty forty fifty sixty seventy eighty ninety")
SCALES = in_order(
    "_ thousand million billion trillion quadrillion quintillion sextillion septillion "
    "octillion nonillion decillion"
)
LONGEST_CARDINAL = 3 * len(SCALES)
"""Numbers with more digits than this are read digit by digit."""

IRREGULAR_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
ROMAN_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}


def digits(text: str) -> str:
    """Each digit by itself: 007 -> zero zero seven."""
    return " ".join(ONES[int(char)] for char in text if char.isdecimal())


def _below_thousand(number: int) -> str:
    words = []
    if number >= 100:
        words += [ONES[number // 100], "hundred"]
        number %= 100
    if number >= 20:
        tens, ones = divmod(number, 10)
        words.append(TENS[tens] + (f"-{ONES[ones]}" if ones else ""))
    elif number:
        words.append(ONES[number])
    return " ".join(words)


def cardinal(text: str | int) -> str:
    """A whole number in digits, commas allowed: 1,234 -> one thousand two hundred thirty-four."""
    text = str(text).replace(",", "")
    if len(text) > LONGEST_CARDINAL or (len(text) > 1 and text.startswith("0")):
        return digits(text)
    number = int(text)
    if number == 0:
        return ONES[0]
    words: list[str] = []
    for scale in SCALES:
        number, group = divmod(number, 1000)
        if group:
            words.insert(0, _below_thousand(group) + ("" if scale == "_" else f" {scale}"))
    return " ".join(words)


def decimal(text: str) -> str:
    """A number with or without a fraction or a sign: -3.05 -> minus three point zero five."""
    sign = "minus " if text[0] in "-−" else ""
    whole, point, fraction = text.lstrip("-−+").partition(".")
    words = cardinal(whole) if whole else ""
    if point and fraction:
        words = f"{words} point {digits(fraction)}".strip()
    return sign + words


def to_ordinal(words: str) -> str:
    """The last of some number words made an ordinal: twenty-one -> twenty-first."""
    head, separator, last = words.rpartition("-" if "-" in words.rpartition(" ")[2] else " ")
    if last in IRREGULAR_ORDINALS:
        last = IRREGULAR_ORDINALS[last]
    elif last.endswith("y"):
        last = last[:-1] + "ieth"
    else:
        last += "th"
    return head + separator + last


def ordinal(text: str | int) -> str:
    return to_ordinal(cardinal(text))


def plural(words: str) -> str:
    """Number words in the plural: twenty -> twenties, six -> sixes."""
    if words.endswith("y"):
        return words[:-1] + "ies"
    return words + ("es" if words.endswith("x") else "s")


def year(text: str | int) -> str:
    """A year the way it is said: 1905 -> nineteen oh five, 2024 -> twenty twenty-four."""
    number = int(text)
    century, rest = divmod(number, 100)
    if number < 1000 or number > 9999 or 2000 <= number < 2010 or (century % 10 == 0 and rest < 10):
        return cardinal(number)
    if rest == 0:
        return f"{cardinal(century)} hundred"
    return f"{cardinal(century)} {f'oh {ONES[rest]}' if rest < 10 else cardinal(rest)}"


def decade(text: str) -> str:
    """The start of a decade: 1990 -> nineteen nineties, 80 -> eighties."""
    return plural(year(text) if len(text) == 4 else cardinal(text))


def fraction(numerator: str, denominator: str) -> str:
    """3/4 -> three quarters; denominators without a usual name are read 'over'."""
    top, bottom = int(numerator), int(denominator)
    if not 2 <= bottom <= 1000 or (bottom > 20 and bottom not in (32, 64, 100, 1000)):
        return f"{cardinal(numerator)} over {cardinal(denominator)}"
    names = {2: "half", 4: "quarter", 100: "hundredth", 1000: "thousandth"}
    name = names.get(bottom) or ordinal(bottom)
    if top != 1:
        name = "halves" if bottom == 2 else name + "s"
    return f"{cardinal(numerator)} {name}"


def roman_to_int(text: str) -> int | None:
    """The value of a well-formed roman numeral, else None: XIV -> 14, IIX -> None."""
    values = [ROMAN_VALUES[char] for char in text]
    total = 0
    for value, following in zip(values, [*values[1:], 0], strict=True):
        total += -value if value < following else value
    return total if to_roman(total) == text else None


def to_roman(number: int) -> str:
    """The numeral of 1..3999; anything else gives an empty text."""
    if not 0 < number < 4000:
        return ""
    ones = ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX")
    tens = ("", "X", "XX", "XXX", "XL", "L", "LX", "LXX", "LXXX", "XC")
    hundreds = ("", "C", "CC", "CCC", "CD", "D", "DC", "DCC", "DCCC", "CM")
    n, h, t = number % 10, number // 100 % 10, number // 10 % 10
    return "M" * (number // 1000) + hundreds[h] + tens[t] + ones[n]
