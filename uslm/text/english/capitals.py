"""Words in capitals: roman numerals, spelled initialisms, acronyms and shouting."""

from __future__ import annotations

import re
from re import Match

from uslm.text.english.numbers import cardinal, ordinal, roman_to_int, year
from uslm.text.english.rule import is_pronoun, one_of, rule, word_before, words

SECTIONS = words(
    "chapter part act scene volume book section phase type level episode season appendix article "
    "class grade stage war bowl rocky fantasy figure table title unit lesson world vol number "
    "division apollo"
)
REGNAL = words(
    "Henry Louis Elizabeth George Charles Edward James William Richard Philip Napoleon Nicholas "
    "Catherine Peter Paul Pius Benedict Gregory Leo Alexander Frederick Francis Ferdinand Otto "
    "Ramses Rameses Xerxes Darius Ptolemy Cleopatra Mary Margaret Innocent Clement Urban Felipe "
    "Christian Gustav Haakon Harald Olav Carl Constantine Leopold Albert Wilhelm Ivan Robert "
    "Malcolm Alfonso Juan Umberto Victor Julius Sixtus Boniface Celestine"
)
# Read as words although in capitals.
ACRONYMS = words(
    "NASA NATO UNESCO UNICEF OPEC ASAP AIDS SARS RAM ROM LASER RADAR SCUBA SWAT FIFA UEFA NAFTA "
    "ASEAN FEMA OSHA NASDAQ COVID GIF PIN SIM JPEG JSON YOLO LOL NIMBY DARPA CAPTCHA BASIC COBOL "
    "PIXAR IKEA LEGO NAND GNU WASP TED MIDI MOMA GUI WAV SIP ZIP VOIP LAN WAN CAD DOS "
    "VRAM SRAM DRAM CRISPR NERF LORA BERT GAN YAML TOML CRUD ROFL FOMO "
    "NVIDIA AMTRAK NERO GAAP ERISA HIPAA PETA MADD DIN MERS EBITDA LIDAR SONAR TASER OLED FICO"
)
# Acronyms that espeak misreads.
RESPELLED = {"UNESCO": "Yoonesco", "GUI": "gooey", "OLED": "O led", "WAV": "wav", "SIP": "sip"}
RESPELLED |= {"ZIP": "zip"}
# Spelled although they could be read.
SPELLED = words(
    "US USA UK EU UN AI IT IBM FBI CIA USB URL API APA HIV IRA IRS ICU EPA FAQ AKA DIY UFO IQ EQ "
    "ID IP OS PA TA UI UX VIP NBA NFL MBA GPU CPU ATM ABC BBC CBS NBC CNN IOU ETA EST AM PM AD BC "
    "BCE CE DNA RNA NGO CEO CFO CTO COO VP HR PR TV PC CD DVD MP GP ER OR AC DC LA NY NYC SUV RV "
    "LED LCD SOS RIP OK AOL UAE USSR IEEE NAACP AARP UCLA USC MIT SAT GPA PHD IUD IVF ADHD OCD "
    "IOS ESPN AAA ACL ALS EEG EKG LGBTQ ISBN IPO ISO IEC UTC"
)
# Short words often shouted.
SHOUTED = words(
    "A I THE AND NOT YOU ALL NOW NO YES STOP GO SO DO TO BE MY ME WE HE SHE IT IS ARE WAS IN ON "
    "OF AT BY UP IF AS AN OR FOR BUT CAN DID HAS HAD HER HIM HIS HOW OUR OUT WHO WHY TOO TWO ONE "
    "NEW OLD BIG BAD GET GOT LET SAY SEE OH HEY WOW OFF OWN PUT RUN SIT TRY USE WAY YET ANY DAY "
    "MAN END FUN HOT ICE JOB KEY LAW LOW MAY OIL PAY RED SEA SUN TEN TOP WAR WIN BOY DOG CAT EAT "
    "HIT AM OK AGO ALSO HELP OPEN WAIT WHAT MUST ONLY VERY NEVER THIS THAT GOOD MORE BEST FREE "
    "SALE BUY TAX FEW FAR SIX BED CAR CUT FLY GUN MAD MOM DAD NOR PER RAW SAD SET WET ADD AGE AIR "
    "ART ASK BAR BOX EGG END EYE FIT BAN BUN BUS BIN BIT BET BEE BAT BAG BEG BIB BOB BOW BUD "
    "BUG CAB POP CAM CAN CAP COD COP COW CRY CUB CUE CUP DAM DAY DEN DEW DID DIE DIG DIM DIP "
    "DOT DRY DUE DUG DYE EAR ERA EVE FAN FAT FED FIG FIN FIR FIX FLU FOE FOG FOX FRY FUR GAG "
    "GAP GAS GEL GEM GUM GUT GUY GYM HAM HAT HAY HEN HID HIP HOG HOP HUG HUT ILL INK INN JAM "
    "JAR JAW JET JOG JOY JUG KID KIN KIT LAB LAD LAP LEG LID LIE LIP LIT LOG LOT MAP MAT MIX "
    "MOB MUD MUG NAP NET NOD NUT OAK OAR ODD OWE OWL PAN PAW PEA PEN PIE PIG PIT POT PUB PUP "
    "RAN RAT RAY RIB RID RIM ROB ROD ROT ROW RUB RUG RYE SAT SAW SKI SKY SLY SON SOW SPY SUM "
    "TAG TAN TAP TEA TIE TIP TOE TON TOY TUB TUG VAN VET WAX WEB WED WIG WIT YEA ZOO ARM ATE "
    "BED HOLE THEM THEN THAN WITH FROM HAVE BEEN "
)  # fmt: skip
VOWELS = re.compile(r"[AEIOUY]")
HARD_TO_SAY = re.compile(
    r"[^AEIOUY]{4}|^[^AEIOUYSCTPFBDGKW][^AEIOUY]|^[^AEIOUY]{3}(?<!STR)(?<!SCH)"
)


def spell(letters: str) -> str:
    return " ".join(letters)


def _pronounceable(word: str) -> bool:
    return bool(VOWELS.search(word)) and not HARD_TO_SAY.search(word)


def _shouting(match: Match[str]) -> bool:
    """Whether the words beside are in capitals too, so that capitals mean nothing here."""
    text = match.string
    before = text[max(0, match.start() - 24) : match.start()].split()[-2:]
    after = text[match.end() : match.end() + 24].split()[:2]
    # IT'S is it's by now, so look at the word after it.
    before = before if "'" in "".join(before[-1:]) else before[-1:]
    after = after if "'" in "".join(after[:1]) else after[:1]
    beside = [re.sub(r"[^A-Za-z]", "", word) for word in before + after]
    return any(
        word.isupper()
        and word not in SPELLED | ACRONYMS
        and (len(word) > 3 or word in SHOUTED - {"I"})
        for word in beside
    )


def _capitals(match: Match[str]) -> str:
    """Spelled (F B I) when known or unsayable, else read as a word in small letters."""
    word, ending = match["word"], match["ending"] or ""
    if word == "WHO" and word_before(match) == "the" and not _shouting(match):
        return spell(word) + ending
    if word in ACRONYMS:
        return RESPELLED.get(word, word.capitalize()) + ending
    shouted = word in SHOUTED and (len(word) > 2 or word not in SPELLED or _shouting(match))
    if shouted and (word not in SPELLED or _shouting(match)):
        return ("I" if word == "I" else word.lower()) + ending
    if word in SPELLED or not _pronounceable(word) or (len(word) <= 3 and not _shouting(match)):
        return spell(word) + (f"'{ending.strip(chr(39))}" if ending else "")
    return word.lower() + ending


def _roman_number(match: Match[str]) -> str:
    """MCMXCIV: four letters or more are no word by chance; from 1100 on it is a year."""
    value = roman_to_int(match[0])
    if value is None:
        return match[0]
    return year(value) if 1100 <= value < 2100 else cardinal(value)


def _list_mark(match: Match[str]) -> str:
    value = roman_to_int(match[1].upper())
    return match[0] if value is None else f", {cardinal(value)}, "


def _article(match: Match[str]) -> str:
    """IT'S A BOY: between shouted words A is the article."""
    after = match.string[match.end() : match.end() + 24].split()[:1]
    word = re.sub(r"[^A-Z]", "", after[0]) if after else ""
    shouted = word not in SPELLED | ACRONYMS and (len(word) > 3 or word in SHOUTED)
    return "a" if shouted else match[0]


def _roman_section(match: Match[str]) -> str:
    value = roman_to_int(match[2].upper())
    if match[1].islower() and match[2] == "I" and is_pronoun(match.string, match.start(2)):
        return match[0]  # the part I like
    return match[0] if value is None else match[1] + cardinal(value)


def _roman_name(match: Match[str]) -> str:
    value = roman_to_int(match[2])
    if value is None:
        return match[0]
    return match[1] + ("the " + ordinal(value) if match[1].strip() in REGNAL else cardinal(value))


LIST_RULES = (rule("roman list mark", r"(?:(?<=\s)|^)\(?([ivx]{1,5})\) ", _list_mark),)
"""These run before brackets are looked at."""

ROMAN_RULES = (
    rule("vi, the editor", r"\bvi(?= (?:editor|mode|command|or emacs|and emacs|or vim|or nano)\b)",
         "V I"),
    rule("roman section in small letters",
         rf"\b((?i:{one_of(SECTIONS)}) )(?!ill\b)([ivx]{{2,6}}|v)\b(?!'|-| editor)",
         _roman_section),
    rule("roman section", rf"\b((?i:{one_of(SECTIONS)}) )([IVXLC]+)\b(?!'[a-rt-z])"
         r"(?! (?:one|two|three|four|five|six|seven|eight|nine|zero|oh)\b)",
         _roman_section),
    rule("roman regnal", rf"\b((?:{one_of(REGNAL)}) )"
         r"([IVX]*[VX][IVX]*|II+|I(?=[,.;:!?)]|'s|$| (?:of|was|ruled|died|reigned|and)\b))"
         r"(?<!Malcolm X)\b", _roman_name),
    rule("roman name", r"\b([A-Z][a-z]{2,20} )([IVX]{2,6})\b", _roman_name),
    rule("roman number", r"(?<![\w'.-])(?=[MDCLXVI]{4})[MDCLXVI]{4,15}(?![\w'])", _roman_number),
)  # fmt: skip
"""These run before letters and digits are spelled, or X7 would have a ten in it."""

RULES = (
    rule("article between capitals", r"(?<=[A-Za-z] )A(?= [A-Z]{2,})", _article),
    rule("letters in the plural",
         r"(?<=[a-z] )(?P<word>[B-HJ-LN-TV-Z])(?P<ending>s)\b", r"\g<word>'\g<ending>"),
    rule("capitals", r"(?<!\w)(?<!\w')(?P<word>[A-Z]{2,})(?P<ending>'?s)?(?![\w])", _capitals),
)  # fmt: skip
