"""Where phone numbers stand in a text: figures that only look like one are told from them by evidence.

What counts is one of these, and no currency before or unit behind it unless it has a label:

- + (or 00, or 011 for a call from North America), a country code of ITU-T E.164 and as many digits as that country's
  numbers have, the country code or five digits and more in the first group;
- the North American form, (212) 555-0123, 212-555-0123 or 212.555.0123, of an area and an exchange that can be; with
  spaces alone, (212) 555 0123, only behind a label, as a loss and two figures behind it look the same;
- (020) 7946 0958, 03-5555-0123 and 01 99 00 12 34: the 0 that is dialled within a country, in a grouping that figures
  do not have;
- a label before it, such as `Tel.`, `Fax:`, `Téléphone :`; `Mobile` and the like, which tables have too, and letters
  (`T:`) only before a number that begins with 0, ( or +, has a hyphen, or does not look like a row of figures.

Round numbers that rise and numbers in equal steps are a series of figures, such as maturities or basis points. Between
digits may stand the spaces and hyphens of HTML and PDF text: no-break and narrow spaces, no-break hyphens, en dashes.
"""

import itertools
import re
from collections.abc import Iterator

SPACES = " \xa0\u2007\u2009\u202f"
DASHES = "\\-\u2010\u2011\u2012\u2013"
LABELLING = "電話电话手机传真"  # ideographs of labels, behind which a number may begin
SHORTEST, LONGEST = 6, 15  # digits of a number with a label; E.164 has 15 at most, with the country code
SHORTEST_DOMESTIC = 10  # characters of one with a 0 before it: nine digits and what stands between them

# Digits behind the country code in geographic and mobile numbers, by code: libphonenumber's metadata 9.0.42 (2026),
# without numbers of fewer than six digits. Code 1 has a form of its own, below.
_PLAN = """
6-6: 298 299 672 681 687
6-7: 597 688 690
6-9: 27 40 252 359 376 421 508
6-10: 53 63 82 95 98 358 685 880
6-11: 39 352
7-13: 43 49
7-7: 238 239 246 248 269 291 297 501 592 673 674 676 677 678 679 680 683 691 692 960
7-8: 230 241 267 372 507 599 670 675 961 975
7-9: 46 48 220 231 254 263 265 354 423 595 967
7-10: 243 353
7-11: 86
7-12: 62 381 882
8-8: 45 47 65 216 222 223 226 227 228 232 235 236 253 257 266 268 350 356 357 370 371 373 374 382 386 389 502 503 504
8-8: 505 506 509 591 598 686 689 852 853 965 968 973 974 993
8-9: 32 36 51 66 213 224 250 258 264 355 377 385 387 593 855 886 962 963 970 971
8-10: 20 57 60 64 378 850 856 964 976 977
8-12: 383 972
9-9: 33 34 41 56 61 93 94 211 212 218 221 233 237 240 242 244 245 249 251 255 256 260 261 262 351 375 380 420 590 594
9-9: 596 966 992 994 995 996 998
9-10: 44 81 84 92 881
9-11: 31
10-10: 1 7 30 52 58 90 91 225 229 234
10-11: 54 55
"""
LENGTHS = {
    code: range(int(line.split("-")[0]), int(line.split(":")[0].split("-")[1]) + 1)
    for line in _PLAN.strip().split("\n")
    for code in line.split(": ")[1].split()
}
BEGIN_WITH_ZERO = {"39", "225", "241", "242", "378"}  # behind + too; elsewhere the 0 is only dialled within a country

_BETWEEN = rf"[{SPACES}{DASHES}./()]{{0,3}}"
# All that a phone number is written with; what follows is looked for in such runs alone.
RUN = re.compile(rf"[0-9+(][0-9+{SPACES}{DASHES}./()]{{6,}}")
# Looking behind from the second place on lets the search jump to a first character.
INTERNATIONAL = re.compile(rf"\+(?<![^\W{LABELLING}]\+)(?<!\+\+)\(?[1-9](?:{_BETWEEN}[0-9]){{6,14}}(?![^\Wx])")
DOMESTIC = re.compile(
    rf"[(0-9](?<![\w.,(/+{DASHES}].)(?:"
    rf"(?P<national>(?<=\()0[0-9]{{1,4}}\)(?:[{SPACES}{DASHES}/]{{0,3}}[0-9]){{5,9}}"
    rf"|(?<=0)[0-9]{{1,3}}([{DASHES}])[0-9]{{2,4}}\2[0-9]{{4}}"
    rf"|(?<=0)[1-9](?:[{SPACES}][0-9]{{2}}){{4}}"
    rf"|(?<=0)(?:0[1-9]|11[{SPACES}{DASHES}][1-9])[0-9]{{0,2}}(?:[{SPACES}{DASHES}()]{{1,2}}[0-9]+){{1,5}})"
    rf"|(?:(?<=1)[{SPACES}{DASHES}.][(2-9])?"
    rf"(?:(?<=\()[2-9][0-9]{{2}}\)[{SPACES}]?[2-9][0-9]{{2}}[{SPACES}{DASHES}.]"
    rf"|(?<=[2-9])[0-9]{{2}}([{DASHES}.])[2-9][0-9]{{2}}\3)[0-9]{{4}}"
    rf")(?![\w{DASHES}]|[.,][0-9])"
)
# What DOMESTIC has at least, found at a tenth of its time: an area in brackets and the rest, a 0 that begins a number,
# or two signs.
MAYBE_DOMESTIC = re.compile(
    rf"[)0{DASHES}.](?:(?<=\([2-9][0-9]{{2}}\))[{SPACES}]?[2-9][0-9]{{2}}[{SPACES}{DASHES}.][0-9]{{4}}"
    rf"|(?<=0)(?<![\w.,/+{DASHES}]0)[0-9]"
    rf"|(?<=[0-9]{{3}}[{DASHES}.])[2-9][0-9]{{2}}[{DASHES}.][0-9]{{4}})"
)
# A decimal number, an amount with points between thousands, several of them.
AMOUNTS = re.compile(r"\d+\.\d+|\d+(?:\.\d{3})+|\d+\..*[^\d.].*")
LONGEST_BEFORE_BRACKET = 5  # digits of a country code and what may stand before an area code in brackets
GOES_ON = re.compile(rf"[{DASHES}./][0-9]")
# At the begin of a run, behind a letter and at most three other characters: what could have a label.
LABELLED = re.compile(
    r"[+(0-9](?:(?<=[^\W\d_][^\w\n].)|(?<=[^\W\d_][^\w\n]{2}.)|(?<=[^\W\d_][^\w\n]{3}.))"
    rf"\(?[0-9]?(?:{_BETWEEN}[0-9]){{4,14}}(?![^\Wx]|[.,][0-9])"
)
# In small letters, as to ignore case takes twice as long.
LABEL = re.compile(
    r"(?:\b(?P<word>(?P<english>phone|telephone|mobile|cell|fax|call)|whatsapp|handy|mobil|portable|móvil)"
    r"|(?P<sure>\b(?:(?:tele)?phone|telefon|fax|mobile?|(?P<owned>cell|my|our)|contact|tel|tlf)"
    r"\W{0,2}(?:numbers?|nummer|no|nr|n°)"
    r"|\b(?:call|ring|text|reach)(?: me| us)? (?:on|at)|\brufnummer"
    r"|\b(?:tel|telefon|telefax|telefono|teléfono|telefone|telefoon|téléphone|télécopie|tél|tlf|tfno|tfn|ph|puh|puhelin"
    r"|mob|gsm|тел|телефон|факс|τηλ)|電話|电话|手机|传真|전화)"
    r"|(?P<letter>\b[tmfp](?=\W{0,2}:)))"
    rf"(?P<end>(?: is)?[.:：{SPACES}]{{0,4}})\Z"
)
LONGEST_LABEL = 30
# What ends as a label does and is none: a unit, a cell of the body or a battery, a part of an identifier.
NO_LABEL = re.compile(
    rf"(?:\d[{SPACES}]?gsm|\b(?:blood|[tb]|nk|red|white|stem|germ|nerve|mast|cancer|tumou?r|fuel|solar)[{SPACES}{DASHES}]cell"
    r"(?:\W{1,2}(?:numbers?|no|nr))?)\W*\Z|(?:\w[._-]|\d/)[^\W\d_]+\.\Z"
)
ACIDITY = re.compile(r"\bpH\W*\Z")  # is written so, and a label is not
YEAR = re.compile("(?:19|20)[0-9]{2}")
_DAY, _MONTH = "(?:0?[1-9]|[12][0-9]|3[01])", "(?:0?[1-9]|1[0-2])"
_SEPARATOR = f"[{DASHES}./]"
DATE = re.compile(
    rf"(?:{YEAR.pattern}({_SEPARATOR}){_MONTH}\1{_DAY}"
    rf"|(?:{_MONTH}({_SEPARATOR}){_DAY}\2|{_DAY}({_SEPARATOR}){_MONTH}\3)"
    rf"(?:{YEAR.pattern}|[0-9]{{2}}(?!{_SEPARATOR}[0-9])))(?![0-9])"
)
ISSUE = re.compile(rf"{YEAR.pattern}\.[0-9]{{2}}\.[0-9]{{3}}(?![0-9])")  # of a journal: year, month and article
DECIMALS = re.compile(rf"[0-9]\.[0-9]+[{SPACES}{DASHES}].*[0-9]\.[0-9]")

CURRENCIES = "EUR|USD|GBP|JPY|CHF|CAD|AUD|CNY|RMB|INR|BRL|MXN|COP|IDR|PLN|CZK|HUF|SEK|NOK|DKK|RUB|TRY|KRW|ZAR|RON"
CURRENCY_BEFORE = re.compile(rf"(?:[$€£¥₹₩₽]|\b(?:{CURRENCIES}|Rp|Rs|lei|kr))[{SPACES}]?\Z")
UNIT_BEHIND = re.compile(
    rf"[{SPACES}]?(?:[%‰$€£¥₹°]|(?:{CURRENCIES}|bps?|basis|points?|ticks|percent|per cent|pct|dollars?|euros?|yen"
    r"|pounds|millions?|billions?|bn|mn|shares|units|Stück\w*|Aktien|kg|mg|mcg|µg|g|ml|mm|mmHg|cm|km|m|bpm|days|weeks"
    r"|months|years)\b)"
)


def find_phones(text: str) -> Iterator[tuple[int, int]]:
    """Begin and end of the phone numbers of a text, in no order; some that overlap."""
    for run in RUN.finditer(text):
        begin, end = run.start(), run.end() + 2  # what follows the run is looked at
        if "+" in run[0]:
            for match in INTERNATIONAL.finditer(text, begin, end):
                if last := _international_end(match):
                    yield match.start(), last
        if run.end() - begin >= SHORTEST_DOMESTIC and MAYBE_DOMESTIC.search(text, begin, end):
            yield from (match.span() for match in DOMESTIC.finditer(text, begin, end) if _is_domestic(match))
        if (labelled := LABELLED.match(text, begin)) and _is_labelled(labelled):
            yield labelled.span()


def _international_end(match: re.Match[str]) -> int | None:
    """Where a number with + ends that its country has: behind the last group with which it is of the right length."""
    gaps = [gap.start() for gap in re.finditer(r"\D+(?=\d)", match[0])]
    for end in (len(match[0]), *reversed(gaps)):
        if _has_plan(match[0][1:end]) and not GOES_ON.match(match.string, match.start() + end):
            return None if _is_figure(match, match.start() + end) else match.start() + end
    return None


def _has_plan(written: str) -> bool:
    """Whether a number without its + has a country code, its own group or well within one, and the right length."""
    written = re.sub(r"\(0\)", " ", written, count=1)
    groups = re.findall(r"\d+", written)
    digits = "".join(groups)
    code = next((digits[:size] for size in (1, 2, 3) if digits[:size] in LENGTHS), "")
    national = digits[len(code) :]
    if not code or len(national) not in LENGTHS[code] or (national[0] == "0" and code not in BEGIN_WITH_ZERO):
        return False
    if groups[0] != code and len(groups[0]) < max(5, len(code) + 2):
        return False
    if AMOUNTS.fullmatch(written) or len(re.sub(r"\D", "", written.rpartition("(")[0])) > LONGEST_BEFORE_BRACKET:
        return False
    return _is_american(national) if code == "1" else True


def _is_domestic(match: re.Match[str]) -> bool:
    if match["national"]:
        return _is_national(match) and not _is_figure(match, match.end())
    spaced = match[0][-5] in SPACES
    return _is_american(match[0]) and not (_label(match) is None if spaced else _is_figure(match, match.end()))


def _label(match: re.Match[str]) -> re.Match[str] | None:
    """The label that stands before a number in its line, if one does."""
    text, begin = match.string, match.start()
    first = max(0, begin - LONGEST_LABEL)
    if ACIDITY.search(text, first, begin):
        return None
    line = text[max(first, text.rfind("\n", first, begin) + 1) : begin].lower()
    label = LABEL.search(line)
    return None if label and NO_LABEL.search(line) else label


def _is_american(written: str) -> bool:
    """Whether the last ten digits begin with an area and an exchange that can be: from 2 on, neither x9x nor x11."""
    digits = re.sub(r"\D", "", written)[-10:]
    return digits[0] > "1" < digits[3] and digits[1] != "9" and "11" not in (digits[1:3], digits[4:6])


def _is_national(match: re.Match[str]) -> bool:
    """Whether a number with a 0 before it has as many digits as one, and with 00 or 011 what it has with +."""
    written = match[0]
    if written.startswith("00"):
        return len(re.sub(r"\D", "", written)) >= 12 and _has_plan(written[2:])
    if written.startswith("011"):
        return _has_plan(written[4:])
    return 9 <= len(re.sub(r"\D", "", written)) <= 12


def _is_labelled(match: re.Match[str]) -> bool:
    """Whether a label stands before a number, and it is no date, row of years or decimal numbers, nor a series."""
    groups = re.findall(r"\d+", match[0])
    digits = "".join(groups)
    if not SHORTEST <= len(digits) <= LONGEST or all(YEAR.fullmatch(group) for group in groups):
        return False
    if DECIMALS.search(match[0]) or not (label := _label(match)):
        return False
    if DATE.match(match[0]) or ISSUE.match(match[0]):
        return False
    lengths = [len(group) for group in groups]
    if label["owned"]:
        return match[0][0] in "0(+" or (max(lengths) >= 4 and not YEAR.fullmatch(groups[0]))
    if label["sure"]:
        return True
    dialled = match[0][0] in "0(+" or (lengths == [3, 3, 4] and re.search(f"[{DASHES}.]", match[0]) is not None)
    if _is_series([int(group) for group in groups]):
        return False
    if label["letter"]:
        return len(digits) >= 9 and len(groups) > 1 and (dialled or (lengths == [3, 3, 4] and _is_american(digits)))
    if not re.search("[.:：]", label["end"]):
        return dialled
    return dialled or not label["english"] or set(lengths) != {3}


def _is_figure(match: re.Match[str], end: int) -> bool:
    """Whether a number has no label, and is a series, an amount of money or of something."""
    text, begin = match.string, match.start()
    if _label(match):
        return False
    if CURRENCY_BEFORE.search(text, max(0, begin - 5), begin) or UNIT_BEHIND.match(text, end):
        return True
    return _is_series([int(group) for group in re.findall(r"\d+", text[begin:end])])


def _is_series(numbers: list[int]) -> bool:
    """Whether three numbers or more, a 1 before them aside, rise in equal steps, or rise and are round."""
    numbers = numbers[numbers[:1] == [1] :]
    steps = {after - before for before, after in itertools.pairwise(numbers)}
    if len(numbers) < 3 or min(steps) <= 0:
        return False
    return len(steps) == 1 or all(number % (5 if len(numbers) > 3 else 10) == 0 for number in numbers)
