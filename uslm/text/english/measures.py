"""Measures: units after a number, percentages, feet and inches, ranges, signs and sizes."""

# ruff: noqa: RUF001 (this file is about characters that look alike)

from __future__ import annotations

from re import Match

from uslm.text.english.numbers import cardinal, decimal, fraction
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
    "KiB": "kibibyte", "TiB": "tebibyte", "dL": "deciliter", "µL": "microliter",
    "μL": "microliter", "mmHg": "millimeter of mercury", "mol": "mole", "mmol": "millimole",
    "ng": "nanogram", "pg": "picogram", "mcg": "microgram", "IU": "international unit",
    "mbar": "millibar", "THz": "terahertz", "MHZ": "megahertz", "TWh": "terawatt hour",
    "kN": "kilonewton", "GPa": "gigapascal", "dBm": "decibel milliwatt", "dBA": "A decibel",
    "kbit": "kilobit", "Mbit": "megabit", "Gbit": "gigabit", "Kib": "kibibit", "Gb": "gigabit",
    "MP": "megapixel", "cc": "cubic centimeter",
    "sq in": "square inch", "sq yd": "square yard", "cu ft": "cubic foot", "cu m": "cubic meter",
    "cu in": "cubic inch", "cu yd": "cubic yard", "fl oz": "fluid ounce",
    "hp": "horsepower", "EiB": "exbibyte", "PiB": "pebibyte", "EB": "exabyte",
    "kt": "knot", "kts": "knot", "lx": "lux",
}  # fmt: skip
IRREGULAR = {"foot": "feet", "hertz": "hertz", "percent": "percent", "per mille": "per mille"}
IRREGULAR |= {"inch": "inches", "horsepower": "horsepower", "lux": "lux", "terahertz": "terahertz"}
IRREGULAR |= {"millimeter of mercury": "millimeters of mercury"}
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


def plural(unit: str) -> str:
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
        said = plural(said)
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
    number, scale = match[1] or match[3], match[2] or match[4]
    return f"{decimal(number)} {names.get(scale, 'trillion')}"


def _bare(match: Match[str]) -> str:
    """Units without a number: km/h -> kilometers per hour."""
    one = _with_power(UNITS.get(match["unit"], match["unit"].replace("tre", "ter")), match["power"])
    many = plural(one) if match["unit"] in UNITS else one
    return f"{many} per {_with_power(PER[match['per']], match['per_power'])}"


def _pressure(match: Match[str]) -> str:
    """120/80: blood pressure, one twenty over eighty."""

    def said(number: str) -> str:
        if len(number) < 3 or number.endswith("00"):
            return cardinal(number)
        rest = cardinal(int(number[1:]))
        return f"{cardinal(number[0])} {'oh ' * (number[1] == '0')}{rest}"

    tail = " millimeters of mercury" if match["unit"] or match["unit2"] else ""
    return f"{match['before'] or ''}{said(match['high'])} over {said(match['low'])}{tail}"


def _adjective(match: Match[str]) -> str:
    """12V battery, a 5 km run: before what it measures a unit has no plural."""
    number, unit = decimal(match["number"]), match["unit"]
    if unit in ("in", "ft"):
        return f"{number}-{'inch' if unit == 'in' else 'foot'}"
    return f"{number} {UNITS[unit]}"


def _across(match: Match[str]) -> str:
    """8.5" x 11" is inches once, 10' x 12' feet twice, as people say them."""
    first, second, mark = match[1], match[3], match[2]
    if mark in '"″':
        return f"{_size(first)} by {_size(second)} inches"
    if mark in "'′":
        return f"{_counted(first, 'foot')} by {_counted(second, 'foot')}"
    return f"{_counted(first, 'inch')} by {_counted(second, 'inch')}"


def _size(number: str) -> str:
    whole, _, part = number.rpartition(" ")
    if "/" not in part:
        return decimal(number)
    said = fraction(*part.split("/"))
    return f"{cardinal(whole)} and {said}" if whole else said


def _counted(number: str, unit: str) -> str:
    return f"{_size(number)} {unit if number == '1' else IRREGULAR[unit]}"


def _part_inch(match: Match[str]) -> str:
    """5/8" bolt -> five eighths inch bolt, 1/2" pipe -> half inch pipe."""
    part = "half" if match[2] == "1/2" and not match[1] else _size(match[2])
    whole = f"{cardinal(match[1])} and " if match[1] else ""
    if whole and part.startswith("one "):
        part = "a " + part.removeprefix("one ")
    return f"{whole}{part} {'inch' if match['thing'] else 'inches' if whole else 'inch'}"


UNIT = one_of(UNITS)
MEASURED_THING = (
    "battery|batteries|charger|adapter|adaptor|supply|outlet|bulb|lamp|motor|angle|turn|rotation|"
    "pizza|pipe|bolt|nail|screw|film|lens|screen|monitor|display|TV|tablet|laptop|drive|disk|disc|"
    "hose|board|plank|tube|cable|wire|rope|gun|tank|bottle|bag|box|file|model|radius|walk|run|race|"
    "hike|drive|flight|ride|limit|wall|fence|pole|ladder|tall|long|wide|deep|thick|high|resistor|"
    "capacitor|fuse|chip|card|stick|line|circuit|system|plywood|drill|bit|socket|wrench|cut|skillet"
    "|"
    "pan|cake|sub|sandwich|ruler|gap|hole|tire|wheel|timer|delay|window|video|clip|break|sprint"
    "|dash"
)
PER_WORDS = "|".join(("litres", "liters", "metres", "meters", "miles", "grams", "tons", "gallons"))
RANGE_END = r"(?=\d|\.\d)"
SIGN_RULES = (
    rule("five minus three equals two", rf"(?<=\d) - (?={NUMBER} ?=)", " minus "),
    rule("minus between numbers", r"(?<=[\d)]) ?− ?(?=[\d(.])", " minus "),
    rule("negative number", r"(?:(?<=[\s(\[=<>*/,])|^)[-−](?=\.?\d|[$£€¥]\d)", "minus "),
    rule("positive number", r"(?:(?<=[\s(\[=])|^)\+(?=\.?\d)", "plus "),
)  # fmt: skip
"""These run before money, so that -$5 is minus five dollars."""

RULES = (
    rule("degrees of two scales", r"(?<=\d)° ?([CF])\b", r"°\1"),
    rule("temperature in letters", r"(\b(?i:temp\w*\.?|heat(?:ed)? to|oven|bake at|weather)"
         r"(?: (?:of|is|was|about|around|to|at)){0,2}:? [-−]?\d{1,4}) ?([CF])\b",
         lambda m: f"{m[1]} {'Celsius' if m[2] == 'C' else 'Fahrenheit'}"),
    rule("temperature in letters, before a place", r"(?<=\d) ?([CF])\b(?= (?:outside|inside|today|"
         r"tonight|tomorrow|water|oven|outdoors|indoors)\b)",
         lambda m: " Celsius" if m[1] == "C" else " Fahrenheit"),
    rule("square and cubic", r"\b(sq|cu|fl)\. ?(ft|m|mi|km|in|yd|oz)\b(?:\.(?!$| [A-Z]))?",
         r"\1 \2"),
    rule("thousands of hertz", r"(?<=\d)k Hz\b", " thousand Hz"),
    rule("blood pressure", r"(?P<before>(?i:\bbp|\bblood pressure)(?: (?:of|is|was|at))?:? )?"
         r"(?<![\w.,/])(?P<high>\d{2,3})/(?P<low>\d{2,3})(?(before)(?P<unit> ?mmHg\b)?|(?P<unit2> "
         r"?mmHg\b))",
         _pressure),
    rule("sizes in inches and feet",
         r"(?<![\w.,/])(\d+(?:\.\d+)?(?: \d/\d+)?|\d/\d+) ?([\"″'′]|in\.?)"
         r" ?[x×] ?(\d+(?:\.\d+)?(?: \d/\d+)?|\d/\d+) ?\2(?!\w)", _across),
    rule("part of an inch", r"(?<![\w.,/])(?:(\d+)[ -])?(\d{1,2}/\d{1,2})(?:[\"″]|[ -]in\.?(?=[ ,;)"
         r"]|$))"
         r"(?P<thing> (?=[a-z]))?", lambda m: _part_inch(m) + (m["thing"] or "")),
    rule("inches by a mark", rf"(?<![\w.,'])(\d+(?:\.\d+)?)[\"″](?= (?:{MEASURED_THING})\b)",
         lambda m: f"{decimal(m[1])}-inch"),
    rule("feet by a mark", r"(?<![\w.,'])(\d+(?:\.\d+)?)'(?= (?:tall|wide|long|deep|high|by|x"
         r"|ceiling|"
         r"ladder|fence|tree|board|wall|pole|table|boat)\b)", lambda m: _counted(m[1], "foot")),
    rule("measure as adjective", rf"(?<=\b[Aa] )(?P<number>{NUMBER})(?P<unit>in|ft|{UNIT})"
         r"(?= (?!and\b|or\b|to\b|of\b|in\b|on\b|a\b|at\b|for\b|from\b|with\b|away\b"
         r"|per\b|is\b|was\b|each\b|every\b|ago\b|later\b|more\b|less\b|than\b|before\b|after\b"
         r"|until\b|by\b|into\b|over\b|up\b|off\b|but\b|as\b|faster\b|then\b)[a-z])(?<![%‰])",
         _adjective),
    rule("measure before a thing", rf"{NUMBER_STARTS}(?P<number>{NUMBER}) ?(?P<unit>in|ft|{UNIT})"
         rf"(?<![%‰s])(?<! [a-z])(?= (?:{MEASURED_THING})\b)", _adjective),
    rule("sum without a number", rf"(?<![\w/])([$£€])/(?P<per>{one_of(PER)})(?!\w)",
         lambda m: f"{ {'$': 'dollars', '£': 'pounds', '€': 'euros'}[m[1]]} per {PER[m['per']]}"),
    rule("units without a number", rf"(?<![\w/.°-])(?P<unit>{PER_WORDS}|{UNIT})(?P<power>[²³])?"
         rf"/(?P<per>{one_of(PER)})(?P<per_power>[²³])?(?![\w/])", _bare),
    rule("slash before a number", r"(?<=[a-z]{2})/(?=\d)", " slash "),
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
    rule("inches", rf"{NUMBER_STARTS}({NUMBER})(?:″|-?in\b\.?(?![\w]|-\w)|[ -]?in\.(?= [a-z(])"
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
    rule("billions of something",
         rf"{NUMBER_STARTS}(\d{{1,3}}) ?(B)()()(?= (?!Street|Road)[a-z]{{3,}}s\b| people\b)"
         r"(?! (?:is|was|has)\b)", _scaled),
    rule("thousands and millions",
         rf"{NUMBER_STARTS}({NUMBER})(k|M|(?<=\.\d)B|(?<=\.\d\d)B|mn|bn|tn)(?!\w)"
         rf"|{NUMBER_STARTS}({NUMBER}) (mn|bn|tn)(?!\w)", _scaled),
)  # fmt: skip
