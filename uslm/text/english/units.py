"""Measures: units after a number, percentages, feet and inches, ranges, signs and sizes."""

# ruff: noqa: RUF001 (this file is about characters that look alike)

from __future__ import annotations

from re import Match

from uslm.text.english.numbers import cardinal, decimal
from uslm.text.english.rule import NUMBER, NUMBER_STARTS, ends_sentence, one_of, rule

# Written form -> said form; the plural adds an s unless IRREGULAR says otherwise.
UNITS = {
    "nm": "nanometer", "µm": "micrometer", "μm": "micrometer", "mm": "millimeter",
    "cm": "centimeter", "m": "meter", "km": "kilometer", "ft": "foot", "yd": "yard",
    "yds": "yard", "mi": "mile", "nmi": "nautical mile",
    "µg": "microgram", "μg": "microgram", "mg": "milligram", "g": "gram", "kg": "kilogram",
    "kgs": "kilogram", "oz": "ounce", "lb": "pound", "lbs": "pound",
    "ml": "milliliter", "mL": "milliliter", "cl": "centiliter", "dl": "deciliter", "L": "liter",
    "l": "liter", "gal": "gallon", "qt": "quart", "tsp": "teaspoon", "tbsp": "tablespoon",
    "ns": "nanosecond", "µs": "microsecond", "μs": "microsecond", "ms": "millisecond",
    "s": "second", "sec": "second", "secs": "second", "min": "minute", "mins": "minute",
    "h": "hour", "hr": "hour", "hrs": "hour", "yrs": "year", "yr": "year",
    "Hz": "hertz", "kHz": "kilohertz", "MHz": "megahertz", "GHz": "gigahertz",
    "W": "watt", "kW": "kilowatt", "MW": "megawatt", "GW": "gigawatt", "Wh": "watt hour",
    "kWh": "kilowatt hour", "MWh": "megawatt hour", "V": "volt", "mV": "millivolt",
    "kV": "kilovolt", "mA": "milliamp", "mAh": "milliamp hour", "kJ": "kilojoule",
    "kcal": "kilocalorie", "cal": "calorie", "Pa": "pascal", "hPa": "hectopascal",
    "kPa": "kilopascal", "MPa": "megapascal", "N": "newton", "Ω": "ohm", "kΩ": "kilo-ohm",
    "KB": "kilobyte", "kB": "kilobyte", "MB": "megabyte", "GB": "gigabyte", "TB": "terabyte",
    "PB": "petabyte", "MiB": "mebibyte", "GiB": "gibibyte", "kb": "kilobit", "Mb": "megabit",
    "kbps": "kilobit per second", "Kbps": "kilobit per second", "Mbps": "megabit per second",
    "Gbps": "gigabit per second", "dB": "decibel", "rpm": "revolution per minute",
    "fps": "frame per second", "bpm": "beat per minute", "dpi": "dot per inch",
    "mph": "mile per hour", "kph": "kilometer per hour", "kmh": "kilometer per hour",
    "mpg": "mile per gallon", "ha": "hectare", "px": "pixel", "ppm": "part per million",
    "psi": "pound per square inch", "sq ft": "square foot", "sq m": "square meter",
    "sq mi": "square mile", "sq km": "square kilometer", "°C": "degree Celsius",
    "°F": "degree Fahrenheit", "°": "degree", "%": "percent", "‰": "per mille",
}  # fmt: skip
IRREGULAR = {"foot": "feet", "hertz": "hertz", "percent": "percent", "per mille": "per mille"}
IRREGULAR |= {"kilohertz": "kilohertz", "megahertz": "megahertz", "gigahertz": "gigahertz"}
PER = {
    "month": "month", "mo": "month", "year": "year", "yr": "year", "week": "week", "wk": "week",
    "day": "day", "night": "night", "hour": "hour", "person": "person", "unit": "unit",
    "mile": "mile", "minute": "minute", "second": "second", "user": "user", "head": "head",
    "share": "share", "ton": "ton",
} | {unit: said for unit, said in UNITS.items() if unit.isalpha()}  # fmt: skip
POWERS = {"²": "square ", "2": "square ", "³": "cubic ", "3": "cubic "}
DOTTED = {"ft", "lb", "lbs", "oz", "hr", "hrs", "min", "mins", "sec", "secs", "yd", "mi", "gal"}
HEMISPHERES = {"N": "north", "S": "south", "E": "east", "W": "west"}


def _plural(unit: str) -> str:
    """The first word that counts takes the plural: mile per hour -> miles per hour."""
    head, per, tail = unit.partition(" per ")
    words = head.split(" ")
    place = 0 if words[0] == "degree" else -1
    words[place] = IRREGULAR.get(words[place], words[place] + "s")
    return IRREGULAR.get(unit) or " ".join(words) + per + tail


def _with_power(unit: str, power: str | None) -> str:
    """Square meter, cubic meter, but second squared."""
    if not power:
        return unit
    if unit == "second":
        return "second squared" if power in "²2" else "second cubed"
    return POWERS[power] + unit


def _measure(match: Match[str]) -> str:
    number, joint, unit = match["number"], match["joint"], match["unit"]
    if unit == "s" and not joint and len(number) > 2 and number.isdecimal():
        return match[0]  # 747s are airplanes
    said = UNITS[unit]
    said = _with_power(said, match["power"])
    if not (joint == "-" or number == "1"):
        said = _plural(said)
    if match["per"]:
        said += f" per {_with_power(PER[match['per']], match['per_power'])}"
    scale = f" {match['scale']}" if match["scale"] else ""
    stop = "." if match["dot"] and (unit not in DOTTED or ends_sentence(match)) else ""
    return f"{decimal(number)}{scale}{'-' if joint == '-' else ' '}{said}{stop}"


def _feet_inches(match: Match[str]) -> str:
    feet = f"{cardinal(match[1])} {'foot' if match[1] == '1' else 'feet'}"
    if not match[2]:
        return feet
    return f"{feet} {decimal(match[2])} {'inch' if match[2] == '1' else 'inches'}"


def _inches(match: Match[str]) -> str:
    joint = "-" if "-" in match[0] or match["thing"] else " "
    return f"{decimal(match[1])}{joint}{'inch' if match[1] == '1' or joint == '-' else 'inches'}"


def _scaled(match: Match[str]) -> str:
    names = {"k": "thousand", "M": "million", "B": "billion", "mn": "million", "bn": "billion"}
    return f"{decimal(match[1])} {names.get(match[2], 'trillion')}"


UNIT = one_of(UNITS)
RANGE_END = r"(?=\d|\.\d)"
SIGN_RULES = (
    rule("five minus three equals two", rf"(?<=\d) - (?={NUMBER} ?=)", " minus "),
    rule("minus between numbers", r"(?<=[\d)]) ?− ?(?=[\d(.])", " minus "),
    rule("negative number", r"(?:(?<=[\s(\[=<>*/,])|^)[-−](?=\.?\d|[$£€¥]\d)", "minus "),
    rule("positive number", r"(?:(?<=[\s(\[=])|^)\+(?=\.?\d)", "plus "),
)  # fmt: skip
"""These run before money, so that -$5 is minus five dollars."""

RULES = (
    rule("range of percentages", r"(?<=\d)(%|°[CF]?) ?[-–] ?(?=\d[\d.]*(?:%|°))",
         " to "),
    rule("range", rf"{NUMBER_STARTS}(?<!-)(?P<first>{NUMBER}) ?[-–] ?{RANGE_END}(?!\d+[-–]\d)"
         r"(?!\d*[A-Za-z]*-[a-z])", lambda m: f"{decimal(m['first'])} to "),
    rule("size", r"(?<=[\dm\"'″′])(?<!\b0) ?x ?(?=\d)", " by "),
    rule("times", r"(?<=\d) ?× ?(?=\d)", " times "),
    rule("so many times", rf"{NUMBER_STARTS}({NUMBER})[x×](?!\w)", r"\1 times"),
    rule("feet and inches", r"(?<![\w.])(\d{1,2})(?:['′] ?(\d{1,2}(?:\.\d)?)(?:[\"″]|'')|′)",
         _feet_inches),
    rule("feet and inches in letters", r"(?<![\w.])(\d{1,2}) ?ft\.? (\d{1,2}(?:\.\d)?) ?in\b\.?",
         _feet_inches),
    rule("feet and inches, open", r"(?<![\w.])([4-7])'(\d|1[01])(?=[ ,.;:!?]|$)", _feet_inches),
    rule("inches", rf"{NUMBER_STARTS}({NUMBER})(?:″|-?in\b\.?(?![\w])|[ -]?in\.(?= [a-z(])"
         r"|-?\"(?= (?:by|wide|tall|long|deep|thick|"
         r"(?P<thing>screen|TV|monitor|display|pipe|nail))\b))",
         _inches),
    rule("compass", rf"{NUMBER_STARTS}({NUMBER})° ?([NSEW])\b",
         lambda m: f"{decimal(m[1])} degree{'s' * (m[1] != '1')} {HEMISPHERES[m[2]]}"),
    rule("measure", rf"{NUMBER_STARTS}(?P<number>{NUMBER})"
         rf"(?: (?P<scale>thousand|million|billion|trillion))?"
         rf"(?P<joint>[ -]?)(?P<unit>{UNIT})(?P<power>[²³]|(?<=m|t|i)[23](?!\w))?"
         rf"(?:/(?P<per>{one_of(PER)})(?P<per_power>[²³])?)?(?![\w'])(?P<dot>\.(?!\w))?",
         _measure),
    rule("per", r"(?<=[a-z]) ?/ ?(?P<per>month|mo|year|yr|week|wk|day|night|hour|hr|h|person"
         r"|unit|mile|minute|min|user|share|ton|kg|lb|kWh|GB|s)\b(?!/)(?<=\w)",
         lambda m: f" per {PER[m['per']]}"),
    rule("thousands and millions",
         rf"{NUMBER_STARTS}({NUMBER}) ?(k|M|B|mn|bn|tn)(?!\w)(?<! M)(?<! B)"
         r"(?<! k)", _scaled),
)  # fmt: skip
