"""Personal data in a text, replaced by marks: e-mail addresses, phone numbers, IP addresses, cards and bank accounts.

A cheap expression finds what could be one; what can be checked is checked, so that dates, years, ISBNs, amounts and
version numbers stay:

- email: a local part, @ and a domain that ends in letters.
- phone: + and 8 to 15 digits (ITU E.164), between which single spaces, dots, hyphens or parentheses may stand, but no
  signed decimal number; or the North American form, (212) 555-0123, 212-555-0123 or 212.555.0123, neither area nor
  exchange beginning with 0 or 1. Other countries' numbers without + look like any number and stay.
- ip: a valid and public IPv4 or IPv6 address; others are nobody's. Four numbers after a letter, or after a word
  such as `version`, stay.
- card: the digits in one piece, in fours or as American Express writes them, of a length and with first digits that an
  issuer gives out, with the right check digit (Luhn, ISO/IEC 7812).
- iban: an account number of the form of its country, with the right check digits (ISO 13616).
"""

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterable

from data.config import PersonalData

MARKS: dict[PersonalData, str] = {
    "email": "<EMAIL>",
    "iban": "<IBAN>",
    "card": "<CARD>",
    "ip": "<IP>",
    "phone": "<PHONE>",
}

# Looking behind from the second place on lets the search jump to a first character.
EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%-]{1,64}@(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w-])")
INTERNATIONAL_PHONE = re.compile(r"\+(?<![\w+]\+)[1-9](?:[ .-]?\(?\d\)?){6,13}[ .-]?\d(?!\w)")
AMERICAN_PHONE = re.compile(
    r"[(1-9](?<![\w.(-].)(?:(?<=1)[-. ][(2-9])?"
    r"(?:(?<=\()[2-9]\d\d\) ?[2-9]\d\d[-. ]|(?<=[2-9])\d\d([-.])[2-9]\d\d\1)\d{4}(?![\w-]|\.\d)"
)
DECIMAL = re.compile(r"\+\d+\.\d+")
IPV4 = re.compile(r"\d(?<![\w.].)\d{0,2}(?:\.\d{1,3}){3}(?!\w|\.\w)")
IPV6 = re.compile(r"[23](?<![\w:.].)[0-9A-Fa-f]{3}:[0-9A-Fa-f:]{1,34}(?:(?<!:)|(?<=::))(?!\w|:[\w:])")
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
VERSION_BEFORE = re.compile(
    r"(?:\b(?:v|ver|version|release|firmware|build|revision|chapter|section)\b\.?|§)\s*\Z", re.I
)
CARD = re.compile(
    r"[2-6](?<![\w.,-].)(?:\d{12,18}|\d{3}([ -])(?:\d{4}\1\d{4}\1\d{1,4}(?:\1\d{1,3})?|\d{6}\1\d{4,5}))(?![\w-])"
)
ISSUED = re.compile(
    r"4\d{12}(?:\d{3}){0,2}"  # Visa
    r"|(?:5[1-5]|2[2-7])\d{14}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-5]|[68]\d)\d{11}"  # Diners Club
    r"|35\d{14}"  # JCB
    r"|6(?:011|4[4-9]\d|[25]\d\d)\d{12,15}"  # Discover, UnionPay
)
IBAN = re.compile(r"[A-Z](?<!\w.)[A-Z]\d\d(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)")


def make_scrubber(kinds: Iterable[PersonalData]) -> Callable[[str], tuple[str, Counter[str]]]:
    """From a text to what it is with marks for personal data of these kinds, and their number by kind."""
    chosen = set(kinds)
    scrubbers = [(kind, scrub) for kind, scrub in _SCRUBBERS.items() if kind in chosen]

    def scrub_all(text: str) -> tuple[str, Counter[str]]:
        found: Counter[str] = Counter()
        for kind, scrub in scrubbers:
            text, count = scrub(text)
            if count:
                found[kind] += count
        return text, found

    return scrub_all


def _replace(
    text: str, expression: re.Pattern[str], kind: PersonalData, holds: Callable[[re.Match[str]], bool]
) -> tuple[str, int]:
    """Put the mark of a kind for each match that holds."""
    count = 0

    def mark(match: re.Match[str]) -> str:
        nonlocal count
        if not holds(match):
            return match[0]
        count += 1
        return MARKS[kind]

    return expression.sub(mark, text), count


def scrub_emails(text: str) -> tuple[str, int]:
    """Replace e-mail addresses; as all the others here: the text with marks, and their number."""
    return EMAIL.subn(MARKS["email"], text) if "@" in text else (text, 0)


def scrub_phones(text: str) -> tuple[str, int]:
    """Replace phone numbers."""
    text, international = _replace(text, INTERNATIONAL_PHONE, "phone", lambda match: not DECIMAL.fullmatch(match[0]))
    text, american = AMERICAN_PHONE.subn(MARKS["phone"], text)
    return text, international + american


def scrub_ips(text: str) -> tuple[str, int]:
    """Replace public IP addresses."""
    text, old = _replace(text, IPV4, "ip", _is_public_ipv4)
    text, new = _replace(text, IPV6, "ip", _is_public_ipv6)
    return text, old + new


def _is_public_ipv4(match: re.Match[str]) -> bool:
    if VERSION_BEFORE.search(match.string, max(0, match.start() - 20), match.start()):
        return False
    try:
        return ipaddress.IPv4Address(match[0]).is_global
    except ValueError:
        return False


def _is_public_ipv6(match: re.Match[str]) -> bool:
    try:
        address = ipaddress.IPv6Address(match[0])
    except ValueError:
        return False
    return address in GLOBAL_UNICAST and address.is_global


def scrub_cards(text: str) -> tuple[str, int]:
    """Replace numbers of payment cards."""
    return _replace(text, CARD, "card", _is_card)


def _is_card(match: re.Match[str]) -> bool:
    from stdnum import luhn

    digits = match[0].replace(" ", "").replace("-", "")
    return ISSUED.fullmatch(digits) is not None and bool(luhn.is_valid(digits))


def scrub_ibans(text: str) -> tuple[str, int]:
    """Replace numbers of bank accounts; words in capitals that follow one are not part of it."""
    from stdnum import iban

    count = 0

    def mark(match: re.Match[str]) -> str:
        nonlocal count
        number = match[0]
        while number:
            if iban.is_valid(number, check_country=False):
                count += 1
                return MARKS["iban"] + match[0][len(number) :]
            number = number.rpartition(" ")[0]
        return match[0]

    return IBAN.sub(mark, text), count


_SCRUBBERS: dict[PersonalData, Callable[[str], tuple[str, int]]] = {
    "email": scrub_emails,
    "iban": scrub_ibans,
    "card": scrub_cards,
    "ip": scrub_ips,
    "phone": scrub_phones,
}
