"""Items of five kinds from the held-out documents of a source, the same for the same documents and seed.

An item depends on the seed, on its document, and on the documents nearest to it in time, from which wrong choices are
taken. What is masked, and what might stand there, stands nowhere else in its item: nothing can be copied, nor ruled out
because it was said already. Where choices have an order, of size, time or length, the rank of the right one is drawn.
"""

import datetime
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from data.files import value_digest
from data.interval import dates_as_json
from evaluation.questions.cloze import CHOICES, Names, count_names, near_dates, near_numbers, other_names
from evaluation.questions.documents import Document, in_order
from evaluation.questions.items import Item, Kind, item_id
from evaluation.questions.text import YEAR, Span, dates, numbers

NEIGHBOURS = 40
"""Documents nearest in time, half of them earlier where there are so many, that wrong choices are taken from."""
SIMILAR_LENGTH = 0.15
"""How much longer or shorter, at most, wrong next sentences are than the right one."""
PASSAGE_BYTES = (120, 350)
"""Least and most text of each document where two are to be put in order."""
APART = 1 / 3
"""Of the time that the documents span: at least so far apart are two that are to be put in order."""


Find = Callable[[str, Span], Iterable[Span]]
"""Where in a sentence of a text something stands that can be masked."""
Near = Callable[[str, str, random.Random], list[str] | None]
"""Wrong choices for what is masked, and the text behind it."""


@dataclass(frozen=True)
class _Draft:
    """An item before its choices are mixed: the right one first."""

    prompt: str
    choices: Sequence[str]
    others: Sequence[Document] = ()


@dataclass(frozen=True)
class _Place:
    """A document among those of its source."""

    documents: Sequence[Document]
    index: int
    names: Names
    chance: random.Random

    @property
    def document(self) -> Document:
        return self.documents[self.index]

    def near(self) -> list[Document]:
        """The documents nearest in time, in random order."""
        first = max(0, min(self.index - NEIGHBOURS // 2, len(self.documents) - NEIGHBOURS - 1))
        near = [each for each in self.documents[first : first + NEIGHBOURS + 1] if each is not self.document]
        return self.chance.sample(near, len(near))

    def asked(self) -> list[int]:
        """Whole sentences with a context, in random order."""
        found = [index for index in self.document.whole if self.document.context(index) is not None]
        return self.chance.sample(found, len(found))


def make_items(kind: Kind, documents: Sequence[Document], most: int, seed: int) -> list[Item]:
    """At most `most` items of a kind from the documents of one source, from one document after the other in turn."""
    documents = in_order(documents)
    known = count_names(documents) if kind == "name" else Names(Counter(), frozenset())
    streams = {}
    for index, document in enumerate(documents):
        chance = _random(seed, kind, document.source, document.id)
        place = _Place(documents, index, known, chance)
        streams[index] = _items(kind, document, MAKERS[kind](place), chance)
    turns = list(streams)
    _random(seed, kind, "turns").shuffle(turns)
    made: dict[str, Item] = {}
    while turns and len(made) < most:
        for index in list(turns):
            item = next(streams[index], None)
            if item is None:
                turns.remove(index)
            elif len(made) < most:
                made.setdefault(item.id, item)
    return list(made.values())


def _random(seed: int, *key: str) -> random.Random:
    return random.Random(value_digest([seed, *key]))


def _items(kind: Kind, document: Document, drafts: Iterator[_Draft], chance: random.Random) -> Iterator[Item]:
    for draft in drafts:
        if len({choice.strip() for choice in draft.choices}) < len(draft.choices):
            continue
        choices = tuple(chance.sample(draft.choices, len(draft.choices)))
        yield Item(
            id=item_id(kind, draft.prompt, choices),
            document=document.id,
            others=tuple(dict.fromkeys(other.id for other in draft.others)),
            source=document.source,
            **dates_as_json(document.date),
            kind=kind,
            prompt=draft.prompt,
            choices=choices,
            answer=choices.index(draft.choices[0]),
        )


def _next_sentences(place: _Place) -> Iterator[_Draft]:
    """The sentence that follows, among sentences of about its length from as many other documents."""
    document, near = place.document, place.near()
    for index in place.asked():
        piece, before = document.pieces[index], document.pieces[index - 1]
        length = len(document[piece])
        similar = [
            (sentence, other)
            for other in near
            for each in other.whole
            if abs(len(sentence := other[other.pieces[each]]) - length) <= SIMILAR_LENGTH * length
            and sentence not in document.text
        ]
        place.chance.shuffle(similar)
        others = _around_length(document[piece], similar, place.chance)
        if others is not None:
            gap = document.text[before.end : piece.begin]
            choices = [gap + sentence for sentence in (document[piece], *others)]
            begin = document.context(index) or 0
            yield _Draft(document.text[begin : before.end], choices, list(others.values()))


def _around_length(
    sentence: str, similar: Sequence[tuple[str, Document]], chance: random.Random
) -> dict[str, Document] | None:
    """Three sentences of as many documents, of which none to three, equally likely, are shorter in bytes.

    None where shorter or longer ones are too few. One that is right would else be mostly of middle length.
    """
    length, wrong = len(sentence.encode()), CHOICES - 1
    sides: tuple[dict[str, tuple[str, Document]], ...] = ({}, {})
    for other, document in similar:
        if (size := len(other.encode())) != length:
            sides[size > length].setdefault(document.id, (other, document))
    shorter, longer = (list(side.values()) for side in sides)
    if min(len(shorter), len(longer)) < 2 * wrong:  # so many that they need not be of the same documents
        return None
    rank = chance.randrange(CHOICES)
    taken = shorter[:rank]
    ids = {document.id for _, document in taken}
    taken += [each for each in longer if each[1].id not in ids][: wrong - rank]
    return dict(taken)


def _names(place: _Place) -> Iterator[_Draft]:
    """A name masked in a sentence, among names of its kind."""
    document = place.document
    near = place.near()
    for index in place.asked():
        of_sentence = [name for at, name in document.names if at == index and place.names.is_name(document[name.span])]
        for name in place.chance.sample(of_sentence, len(of_sentence)):
            own, (prompt, ending) = document[name.span], _around(document, index, name.span)
            if place.names.is_told(own, f"{prompt} {ending}"):
                continue
            others = other_names(name, own, f"{prompt} {ending}", near, place.names, place.chance)
            if others:
                fills = [own, *(other for other, _ in others)]
                yield _masked(prompt, fills, ending, [where for _, where in others])
                break


def _numbers(place: _Place) -> Iterator[_Draft]:
    """A number masked in a sentence, among near ones."""
    yield from _values(place, numbers, near_numbers)


def _dates(place: _Place) -> Iterator[_Draft]:
    """A date masked in a sentence, among near ones."""
    yield from _values(place, dates, near_dates)


def _values(place: _Place, find: Find, near: Near) -> Iterator[_Draft]:
    document = place.document
    for index in place.asked():
        found = list(find(document.text, document.pieces[index]))
        for span in place.chance.sample(found, len(found)):
            prompt, ending = _around(document, index, span)
            wrong = near(document[span], ending, place.chance)
            if wrong is None:
                continue
            fills = [document[span], *wrong]
            if not any(stands_in(fill, f"{prompt} {ending}") for fill in fills):
                yield _masked(prompt, fills, ending, ())
                break


def _around(document: Document, index: int, span: Span) -> tuple[str, str]:
    """The text in front of what is masked, from its context on, and behind it, to the sentence's end."""
    begin = document.context(index) or 0
    return document.text[begin : span.begin], document.text[span.end : document.pieces[index].end]


def _masked(prompt: str, fills: Sequence[str], ending: str, others: Sequence[Document]) -> _Draft:
    """Every choice goes on to the end of the sentence: what follows a gap tells as much as what precedes it."""
    bare = prompt.rstrip()
    return _Draft(bare, [f"{prompt[len(bare) :]}{fill}{ending}" for fill in fills], others)


def stands_in(fill: str, text: str) -> bool:
    """Whether a text has what may fill a gap, as words and numbers of its own."""
    return re.search(rf"(?<![\w.,]){re.escape(fill)}(?![\w]|[.,]\d)", text) is not None


def _orders(place: _Place) -> Iterator[_Draft]:
    """Which of two documents came first: passages under both dates, in the one order or in the other."""
    dated = [(each, day) for each in place.documents if (day := _day(each))]
    document, own = place.document, _day(place.document)
    if own is None or len(dated) < 2:
        return
    apart = max((dated[-1][1] - dated[0][1]).days * APART, 1)
    partners = [(each, day) for each, day in dated if abs((day - own).days) >= apart]
    for passage in _passages(document, place.chance):
        if not partners:
            return
        other, day = place.chance.choice(partners)
        theirs = next(_passages(other, place.chance), None)
        if theirs is not None:
            first, second = place.chance.sample([(own, passage), (day, theirs)], 2)
            prompt = f"{first[0]}\n\n"
            right, wrong = (f"{a}\n\n{second[0]}\n\n{b}" for a, b in ((first[1], second[1]), (second[1], first[1])))
            yield _Draft(prompt, [right, wrong], [other])


def _day(document: Document) -> datetime.date | None:
    """The one day that a document is of; None where it may be of several."""
    return document.date.last if document.date and document.date.precision == "day" else None


def _passages(document: Document, chance: random.Random) -> Iterator[str]:
    """Sentences on end that name no year, in random order."""
    least, most = PASSAGE_BYTES
    for start in chance.sample(document.whole, len(document.whole)):
        end = start
        while end + 1 in document.whole:
            longer = document.text[document.pieces[start].begin : document.pieces[end + 1].end]
            if len(longer.encode()) > most or YEAR.search(longer):
                break
            end += 1
        passage = document.text[document.pieces[start].begin : document.pieces[end].end]
        if len(passage.encode()) >= least and not YEAR.search(passage):
            yield passage


MAKERS: Mapping[Kind, Callable[[_Place], Iterator[_Draft]]] = {
    "next_sentence": _next_sentences,
    "name": _names,
    "number": _numbers,
    "date": _dates,
    "order": _orders,
}
