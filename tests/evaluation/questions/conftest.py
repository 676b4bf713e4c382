"""Held-out documents to make questions of: dated prose with names, numbers and dates, every sentence another one."""

import datetime
import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from data.interval import Interval
from evaluation.bits_per_byte import NOT_SCORED
from evaluation.language_model import LanguageModel
from evaluation.questions.documents import Document
from evaluation.questions.items import Item

PLACES = ["Berlin", "Madrid", "Lisbon", "Vienna", "Athens", "Dublin", "Prague", "Warsaw", "Oslo", "Helsinki", "Tallinn"]
SUBJECTS = ["lending to small firms", "the price of timber", "freight by rail", "rents for offices", "demand for steel"]
VERBS = ["rose slightly", "fell again", "was steady", "recovered slowly", "slowed by more than was foreseen"]
SYLLABLES = ["ba", "ke", "lo", "mi", "nu", "pra", "sti", "ro", "tu", "ve", "wa", "zi"]
REASONS = ["as contacts had said", "while wages kept pace", "because stocks were low", "as the season is short"]


def prose(seed: int, count: int = 24) -> str:
    """Sentences of which each third names a place, a number or a year; no twelve words stand in two of them."""
    chance = random.Random(seed)
    made = []
    for number in range(count):
        subject, verb, reason = (chance.choice(words) for words in (SUBJECTS, VERBS, REASONS))
        first, second, third = ("".join(chance.choices(SYLLABLES, k=3)) for _ in range(3))
        tail = [
            f"and firms in {chance.choice(PLACES)} saw it first",
            f"and about {chance.randint(11, 89)} contacts agreed",
            f"as it had in {chance.randint(1990, 2014)}",
        ][number % 3]
        made.append(f"{subject.capitalize()} of {first} {verb} {reason} for {second} {tail} with {third}.")
    return " ".join(made)


@pytest.fixture(scope="session")
def documents() -> list[Document]:
    """Thirty documents of one source, a month apart."""
    return [
        Document(f"d{i:02d}", "news", Interval.of_day(datetime.date(2018 + i // 12, 1 + i % 12, 3)), prose(i))
        for i in range(30)
    ]


@pytest.fixture(scope="session")
def byte_model() -> Callable[..., LanguageModel]:
    """A model of bytes whose loss of each is a function of text: (bytes that are loved) → model."""

    def make(loved: Sequence[str] = (), window: int = 4096, name: str = "bytes") -> LanguageModel:
        def losses(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
            """A nat for each byte, but for those of a loved text, once it has begun to be told from others."""
            result = np.ones(inputs.shape)
            for row, ids in enumerate(inputs):
                last = int(np.flatnonzero(targets[row] != NOT_SCORED)[-1])
                text = bytes(int(id_) - 1 for id_ in [*ids[1 : last + 1], targets[row][last]])
                for each in loved:
                    if (begin := text.find(each.encode())) >= 0:
                        result[row, begin : begin + len(each.encode())] = 0.1
            return result

        return LanguageModel(
            name=name,
            digest=f"{name}, {len(loved)} loved",
            parameters=1,
            window=window,
            encode=lambda text: [0, *(1 + byte for byte in text.encode())],
            decode=lambda ids: bytes(id_ - 1 for id_ in ids).decode(),
            token_losses=losses,
            batch_tokens=4 * window,
            device="cpu, float64",
        )

    return make


@pytest.fixture(scope="session")
def item() -> Callable[..., Item]:
    """Makes an item: prompt, choices, answer, document."""

    def make(prompt: str, choices: Sequence[str], answer: int, document: str = "d", number: int = 0) -> Item:
        return Item(
            f"name-{document}-{number}", document, (), "news", None, None, "name", prompt, tuple(choices), answer
        )

    return make
