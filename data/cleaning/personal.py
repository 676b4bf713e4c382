"""Personal data in a text, replaced by marks: e-mail addresses, phone numbers, IP addresses, cards and bank accounts.

A cheap expression finds what could be one; what can be checked is checked, so that dates, years, ISBNs, amounts and
version numbers stay:

- email: a local part, @ and a domain that ends in letters; no image for dense screens (`logo@2x.png`), no repository
  (`git@github.com:org/repo.git`), no version or rank (`react@18.2.0.js`, `Recall@10.For`), no share at an exchange
  (`AAPL@NASDAQ.US`).
- phone: see phones.py.
- ip: a valid and public IPv4 or IPv6 address; others are nobody's. Four numbers stay behind a word such as `version`,
  `Clause` or a currency, and small ones, as sections and versions have, stay unless a word such as `IP` or `server`
  stands before them, or a port or the length of a prefix behind.
- card: the digits in one piece, in fours or as American Express writes them, of a length and with first digits that an
  issuer gives out, with the right check digit (Luhn, ISO/IEC 7812), no code of goods, and not four of a row's figures,
  or of rows of four.
- iban: an account number of the form of its country, with the right check digits (ISO 13616), in capitals or not.

Between digits may stand the spaces and hyphens of HTML and PDF text, as in phones.py. Digits of all scripts and
full-width characters count as those of ASCII.
"""

import functools
import ipaddress
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from data.cleaning.phones import CURRENCIES, DASHES, LABELLING, SPACES, UNIT_BEHIND, find_phones
from data.config import PersonalData

Span = tuple[int, int]

# UTF-8 of what counts as a digit of ASCII or another of its characters: Arabic, Indic and other scripts, full width;
# and of kana and ideographs.
BEGIN_OF_FORMS = (
    b"\xd9",
    b"\xdb",
    b"\xdf",
    b"\xe0",
    b"\xe1",
    b"\xea",
    b"\xef\xbc",
    b"\xef\xbd",
    *(bytes([first]) for first in range(0xE3, 0xEA)),
)
UNSPACED = (range(0x3041, 0x30FB), range(0x3400, 0xA000))

MARKS: dict[PersonalData, str] = {
    "email": "<EMAIL>",
    "iban": "<IBAN>",
    "card": "<CARD>",
    "ip": "<IP>",
    "phone": "<PHONE>",
}

# Looking behind from the second place on lets the search jump to a first character.
_FILE = r"(?i:png|jpe?g|gif|svg|webp|pdf|js|tgz)(?![\w-])"
_NUMBERED = r"(?:[0-9]{1,63}\.)+(?!(?i:com|net|org|cn)(?![\w-]))[A-Za-z]{2,24}(?![\w-]|\.\w)"
EMAIL = re.compile(
    "(?<![\\w.+%\u2010\u2011-])[\\w.+%\u2010\u2011-]{1,64}@(?!(?<=\\bgit@)[\\w.-]+:[\\w~/]|[0-9]x\\."
    f"|{_NUMBERED})(?:[\\w\u2010\u2011-]{{1,63}}\\.){{1,8}}(?!{_FILE})[A-Za-z]{{2,24}}(?![\\w-]|\\.{_FILE})"
)
# A share at its exchange, in capitals.
SHARE = re.compile(
    r"[A-Z0-9.]{1,8}@(?:AMEX|ARCA|ASX|BATS|BSE|CBOE|CBOT|CME|COMEX|EUREX|EURONEXT|HKEX|ICE|IEX|JPX|KRX|LSE|MOEX|NASDAQ|NSE"
    r"|NYMEX|NYSE|OTC|SEHK|SGX|SIX|SSE|SZSE|TSE|TSX|TSXV|XETRA)\.[A-Z]{2}"
)
# To look for a point or a colon first is the speed of memory.
MAYBE_IPV4 = re.compile(r"\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]")
MAYBE_IPV6 = re.compile(r":[0-9A-Fa-f]{0,4}:")
IPV4 = re.compile(r"[0-9](?<![\w.].)[0-9]{0,2}(?:\.[0-9]{1,3}){3}(?!\w|\.\w)")
IPV6 = re.compile(r"[23](?<![\w:.].)[0-9A-Fa-f]{3}:[0-9A-Fa-f:]{1,34}(?:(?<!:)|(?<=::))(?!\w|:[\w:])")
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
CONTEXT = 40  # characters before a number that may say what it is
ADDRESS_BEFORE = re.compile(
    r"(?:\b(?:ips?|ipv4|address(?:es)?|hosts?|servers?|dns|resolvers?|gateways?|ping|routers?|clients?|proxy|peers?|subnet"
    r"|logged in|connections?|requests?|adresse|serveur|servidor|dirección)\b[^.\n]{0,20}"
    rf"(?:\d[\d.:/\]]*(?:,|and|or|to|\[|[{SPACES}]){{1,4}}){{0,3}}|://|@|\[)\Z",
    re.I,
)
ADDRESS_BEHIND = re.compile(r"\]?:\d{1,5}\b|/[0-3]?\d\b")
OTHER_BEFORE = re.compile(
    r"(?:\b(?:v|ver|versions?|releases?|firmware|build|revision|rev|driver|chapters?|sections?|sec|clauses?|articles?|art"
    r"|artikel|paragraphs?|paras?|rules?|schedules?|annex|appendix|exhibits?|items?|tables?|figures?|fig|parts?|notes?"
    r"|ziffer|abschnitt|absatz|nr|no|nos|punto|sección|cláusula|kapitel|chapitre|requirements?|controls?|ec|cath|oid"
    rf"|{CURRENCIES}|Rp|Rs|lei|kr)\b\.?|§|[$€£¥₹])"
    rf"[{SPACES}\n:#]*(?:\d[\d.]*(?:,|and|or|to|[{SPACES}])+){{0,4}}\Z",
    re.I,
)
CARD_BEFORE = re.compile(r"\b(?:card|visa|mastercard|amex|credit)\b[^\d\n]{0,20}\Z", re.I)
GOODS_BEFORE = re.compile(
    r"\b(?:ean|gtin|imei|isbn|upc|sscc|barcode|batch|lot|serial|invoice|order|voucher)\b[^\d\n]{0,12}\Z", re.I
)
CARD = re.compile(
    rf"[2-68](?<![\w.,{DASHES}].)(?:(?<!2)|(?=[2-7]))(?:\d{{12,18}}"
    rf"|\d{{3}}([{SPACES}{DASHES}])(?:\d{{4}}\1\d{{4}}\1\d{{1,4}}(?:\1\d{{1,3}})?|\d{{6}}\1\d{{4,5}}))(?![\w{DASHES}])"
)
FOUR_FOURS = re.compile(r"(?<!\S)\d{4} \d{4} \d{4} \d{4}(?!\S)")
NEAR = 200  # characters to either side in which the lines before and behind are looked at
FOUR_BEFORE, FOUR_BEHIND = re.compile(r"(?<!\S)\d{4} \Z"), re.compile(r" \d{4}(?!\S)")
ISSUED = re.compile(
    r"4\d{15}(?:\d{3})?"  # Visa; of 13 digits only long ago, and so are many codes of goods
    r"|(?:5[1-5]|2[2-7])\d{14}"  # Mastercard, Mir
    r"|(?:50[1-6]\d|6304|6759|676[1-3])\d{12,15}"  # Maestro
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-5]|[68]\d)\d{11}"  # Diners Club
    r"|35\d{14}"  # JCB
    r"|8[12]\d{14}"  # RuPay, UnionPay
    r"|6(?:011|4[4-9]\d|[25]\d\d)\d{12,15}"  # Discover, UnionPay
)
ISSUED_LONG_AGO = re.compile(rf"{ISSUED.pattern}|4\d{{12}}")
# The first two digits of an account number, behind the letters of its country.
IBAN = re.compile(rf"[0-9](?<=[A-Za-z]{{2}}[0-9])(?<!\w[A-Za-z]{{2}}[0-9])[0-9](?=[{SPACES}{DASHES}]?[A-Za-z0-9])")


def make_scrubber(kinds: Iterable[PersonalData]) -> Callable[[str], tuple[str, Counter[str]]]:
    """From a text to what it is with marks for personal data of these kinds, and their number by kind."""
    chosen = set(kinds)
    finders = [(kind, find) for kind, find in _FINDERS if kind in chosen]

    def scrub(text: str) -> tuple[str, Counter[str]]:
        found: Counter[str] = Counter()
        plain = in_ascii(text)
        for kind, find in finders:
            if spans := _apart(find(plain)):
                found[kind] += len(spans)
                text, plain = _mark(text, kind, spans), _mark(plain, kind, spans)
        return text, found

    return scrub


def find_personal(text: str) -> list[tuple[PersonalData, str]]:
    """The personal data of all kinds in a text, kind and characters: what `make_scrubber` would replace."""
    found: list[tuple[PersonalData, str]] = []
    plain = in_ascii(text)
    for kind, find in _FINDERS:
        spans = _apart(find(plain))
        found += [(kind, text[begin:end]) for begin, end in spans]
        text, plain = _mark(text, kind, spans), _mark(plain, kind, spans)
    return found


def in_ascii(text: str) -> str:
    """A text with digits of other scripts and full-width forms as those of ASCII, character by character.

    Kana and ideographs, which no space parts from a number or an address, count as punctuation, but for labels.
    """
    if text.isascii():
        return text
    utf8 = text.encode("utf-8", "surrogatepass")
    return text.translate(_ascii_forms()) if any(first in utf8 for first in BEGIN_OF_FORMS) else text


@functools.cache
def _ascii_forms() -> dict[int, str]:
    forms = {0x066A: "%", 0x066B: ".", 0x066C: ","} | {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
    digits = {code: unicodedata.decimal(chr(code), None) for code in range(0x80, 0x10000)}
    forms |= {code: "、" for codes in UNSPACED for code in codes if chr(code) not in LABELLING}
    return forms | {code: str(digit) for code, digit in digits.items() if digit is not None}


def _apart(spans: Iterable[Span]) -> list[Span]:
    """Spans in order; those that overlap are one."""
    apart: list[Span] = []
    for begin, end in sorted(spans):
        if apart and begin < apart[-1][1]:
            apart[-1] = (apart[-1][0], max(apart[-1][1], end))
        else:
            apart.append((begin, end))
    return apart


def _mark(text: str, kind: PersonalData, spans: Iterable[Span]) -> str:
    """Put the mark of a kind in the place of each span; they are in order and apart."""
    pieces, done = [], 0
    for begin, end in spans:
        pieces += [text[done:begin], MARKS[kind]]
        done = end
    return "".join([*pieces, text[done:]])


def _email_spans(text: str) -> Iterator[Span]:
    if "@" in text:
        yield from (match.span() for match in EMAIL.finditer(text) if not SHARE.fullmatch(match[0]))


def _ipv4_spans(text: str) -> Iterator[Span]:
    if MAYBE_IPV4.search(text):
        yield from (match.span() for match in IPV4.finditer(text) if _is_public_ipv4(match))


def _ipv6_spans(text: str) -> Iterator[Span]:
    if MAYBE_IPV6.search(text):
        yield from (match.span() for match in IPV6.finditer(text) if _is_public_ipv6(match))


def _is_public_ipv4(match: re.Match[str]) -> bool:
    """Whether four numbers are a public address and nothing says that they are a section's, a version's or an amount's.

    Sections and versions count up from one: numbers below 100, or but for one below 32, are an address only where the
    text says so.
    """
    try:
        if not ipaddress.IPv4Address(match[0]).is_global:
            return False
    except ValueError:
        return False
    text, (begin, end) = match.string, match.span()
    before = text[max(0, begin - CONTEXT) : begin]
    if OTHER_BEFORE.search(before) or UNIT_BEHIND.match(text, end):
        return False
    if ADDRESS_BEFORE.search(before) or ADDRESS_BEHIND.match(text, end):
        return True
    numbers = [int(number) for number in match[0].split(".")]
    return max(numbers) >= 100 and sum(number < 32 for number in numbers) < 3


def _is_public_ipv6(match: re.Match[str]) -> bool:
    try:
        address = ipaddress.IPv6Address(match[0])
    except ValueError:
        return False
    return address in GLOBAL_UNICAST and address.is_global


def _card_spans(text: str) -> Iterator[Span]:
    return (match.span() for match in CARD.finditer(text) if _is_card(match))


def _is_card(match: re.Match[str]) -> bool:
    before = match.string[max(0, match.start() - CONTEXT) : match.start()]
    is_said = CARD_BEFORE.search(before) is not None
    if not _is_issued(match[0], ISSUED_LONG_AGO if is_said else ISSUED) or GOODS_BEFORE.search(before):
        return False
    return is_said or match[1] != " " or not _is_row(match, before)


def _is_issued(written: str, form: re.Pattern[str]) -> bool:
    from stdnum import luhn

    digits = re.sub(r"\D", "", written)
    return form.fullmatch(digits) is not None and luhn.is_valid(digits)


def _is_row(match: re.Match[str], before: str) -> bool:
    """Whether groups of four are figures: more stand beside them, or four that are no card's in the line before or
    behind."""
    text, (begin, end) = match.string, match.span()
    if FOUR_BEFORE.search(before) or FOUR_BEHIND.match(text, end):
        return True
    lines = text[max(0, begin - NEAR) : begin].split("\n")[-2:-1] + text[end : end + NEAR].split("\n")[1:2]
    return any(not _is_issued(row, ISSUED) for line in lines for row in FOUR_FOURS.findall(line))


def _iban_spans(text: str) -> Iterator[Span]:
    return filter(None, map(_iban_span, IBAN.finditer(text)))


def _iban_span(match: re.Match[str]) -> Span | None:
    """Where an account number stands whose first two digits are matched, if there is one of its country's length."""
    from stdnum import iban

    text, begin = match.string, match.start() - 2
    expression = _iban_of(text[begin : begin + 2].upper())
    if not expression or not (whole := expression.match(text, begin)):
        return None
    number = re.sub(rf"[{SPACES}{DASHES}]", "", whole[0])
    return whole.span() if iban.is_valid(number, check_country=False) else None


@functools.cache
def _iban_of(country: str) -> re.Pattern[str] | None:
    """As many letters and digits as an account number of a country has, between which one space or hyphen may stand."""
    from stdnum import numdb

    structure = numdb.get("iban").info(country)[0][1].get("bban")
    if not structure:
        return None
    length = sum(map(int, re.findall(r"\d+", structure)))
    return re.compile(rf"[A-Za-z]{{2}}\d\d(?:[{SPACES}{DASHES}]?[A-Za-z0-9]){{{length}}}(?!\w)")


_FINDERS: tuple[tuple[PersonalData, Callable[[str], Iterable[Span]]], ...] = (
    ("email", _email_spans),
    ("iban", _iban_spans),
    ("card", _card_spans),
    ("ip", _ipv4_spans),
    ("ip", _ipv6_spans),
    ("phone", find_phones),
)
