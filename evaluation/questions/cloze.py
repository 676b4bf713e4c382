"""What is masked in a sentence, and what else might stand there: names of the same kind, near numbers, near dates.

Among numbers and dates the rank of the right one is drawn first, so that the middle value is no more often right than
the smallest. Names are drawn as often as they are mentioned, so that the commonest is not right more often than it is
wrong.
"""

import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evaluation.questions.documents import Document
from evaluation.questions.text import MONTHS, WORD, Name

CHOICES = 4
FEWEST_MENTIONS = 2
"""Times that a name must stand in the held-out text of its source: what stands there once is mostly a heading."""
YEARS_OFF, MONTHS_OFF = 6, 18
"""How far wrong dates may be off, where the right one is a year or has a month."""
STEPS = 60
"""Numbers on either side that three are drawn of."""
DECIMAL = re.compile(r"(\d+)([.,])(\d{1,2})")
PERCENT = re.compile(r"\s?(?:%|per\s?cent|Prozent)")


def near_numbers(text: str, behind: str, chance: random.Random) -> list[str] | None:
    """Three numbers near one in digits, of its form; None where there is no room for them on either side.

    A number is some units of its last digit that counts: 1,250 is 125 tens, 2.0 is 20 tenths. The others are as round
    and at most a quarter, or four units, away. Nothing below 4 units has three numbers below it, nor has a share of
    more than 97 % three above it.

    Args:
        behind: the text behind it.
    """
    digits = re.sub(r"\D", "", text)
    zeros = "" if DECIMAL.fullmatch(text) else digits[len(digits.rstrip("0")) :]
    units = int(digits.removesuffix(zeros) or "0")
    reach = max(CHOICES, units // 4)
    is_share = bool(PERCENT.match(behind)) and _value(text) <= 100
    sides: tuple[list[str], list[str]] = ([], [])
    steps = range(1, reach + 1) if reach <= STEPS else chance.sample(range(1, reach + 1), STEPS)
    for other in (units + sign * step for step in steps for sign in (-1, 1) if units + sign * step > 0):
        form = _in_form_of(text, f"{other}{zeros}")
        if form is None or (is_share and _value(form) > 100):
            continue
        if other % 10 or DECIMAL.fullmatch(text):
            sides[other > units].append(form)
    return _draw(*sides, chance)


def _value(text: str) -> float:
    decimal = DECIMAL.fullmatch(text)
    return float(f"{decimal[1]}.{decimal[3]}") if decimal else float(re.sub(r"\D", "", text))


def _in_form_of(text: str, digits: str) -> str | None:
    """Digits with the points and commas of a number; None where they are too few or too many for these."""
    if text.isdigit():
        return digits
    if decimal := DECIMAL.fullmatch(text):
        behind = len(decimal[3])
        digits = digits.zfill(behind + 1)
        return f"{digits[:-behind]}{decimal[2]}{digits[-behind:]}"
    digits = digits.zfill(sum(map(str.isdigit, text)))
    if len(digits) > sum(map(str.isdigit, text)) or (digits[0] == "0") != (text[0] == "0"):
        return None
    following = iter(digits)
    return "".join(next(following) if sign.isdigit() else sign for sign in text)


def near_dates(text: str, behind: str, chance: random.Random) -> list[str] | None:
    """Three dates near one, of its form: other years, or other months, then with the same day; None after the 28th.

    Args:
        behind: the text behind it, which does not matter.
    """
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    if text.isdigit():
        years = range(numbers[0] - YEARS_OFF, numbers[0] + YEARS_OFF + 1)
        forms = list(map(str, years))
    else:
        days = numbers[2:] if "-" in text else [number for number in numbers if number < 32]
        if any(day > 28 for day in days):
            return None
        forms = [_months_later(text, months) for months in range(-MONTHS_OFF, MONTHS_OFF + 1)]
    middle = len(forms) // 2
    return _draw(forms[:middle], forms[middle + 1 :], chance)


def _months_later(text: str, months: int) -> str:
    if "-" in text:
        year, month, day = text.split("-")
        year_then, month_then = divmod(int(year) * 12 + int(month) - 1 + months, 12)
        return f"{year_then:04d}-{month_then + 1:02d}-{day}"
    name = next(name for name in MONTHS if name in text)
    year_then, month_then = divmod(int(text[-4:]) * 12 + MONTHS.index(name) + months, 12)
    return text[:-4].replace(name, MONTHS[month_then]) + str(year_then)


def _draw(below: Sequence[str], above: Sequence[str], chance: random.Random) -> list[str] | None:
    """Three of them, of which none to three, equally likely, are below; None where one side has fewer than three."""
    wrong = CHOICES - 1
    if min(len(below), len(above)) < wrong:
        return None
    rank = chance.randrange(CHOICES)
    return chance.sample(below, rank) + chance.sample(above, wrong - rank)


@dataclass(frozen=True)
class Names:
    """What is known of the names of a source.

    Attributes:
        mentions: how often each stands in its whole sentences.
        proper: words that stand there with a capital more often than without.
    """

    mentions: Counter[str]
    proper: frozenset[str]

    def is_name(self, name: str) -> bool:
        return self.mentions[name] >= FEWEST_MENTIONS and bool(self.proper.intersection(name.split()))

    def is_told(self, name: str, text: str) -> bool:
        """Whether a text has a proper word of a name, and so gives it away."""
        proper = self.proper.intersection(WORD.findall(name))
        return bool(proper.intersection(WORD.findall(text)))


def count_names(documents: Iterable[Document]) -> Names:
    """The names of documents of one source."""
    mentions: Counter[str] = Counter()
    words: Counter[str] = Counter()
    for document in documents:
        mentions.update(document[name.span] for _, name in document.names)
        words.update(WORD.findall(document.text))
    capitalised = (word for word in words if word[0].isupper())
    return Names(
        mentions, frozenset(word for word in capitalised if words[word] > words[word.lower()] or word.isupper())
    )


def other_names(
    name: Name, own: str, text: str, near: Sequence[Document], known: Names, chance: random.Random
) -> list[tuple[str, Document]] | None:
    """Three other names of a name's kind, with documents that mention them: as `Name.kind` says.

    None of them is told by the text, and none has the words of another among its own.

    Args:
        own: the right name.
        text: what stands around it.
        near: where to look.
    """
    mentions = [
        (document[other.span], document) for document in near for _, other in document.names if other.kind == name.kind
    ]
    chance.shuffle(mentions)
    chosen: list[tuple[str, Document]] = []
    taken = [set(own.split())]
    for other, document in mentions:
        words = set(other.split())
        if (
            known.is_name(other)
            and not any(words <= those or those <= words for those in taken)
            and not known.is_told(other, text)
        ):
            taken.append(words)
            chosen.append((other, document))
        if len(chosen) == CHOICES - 1:
            return chosen
    return None
