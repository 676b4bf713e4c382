"""Scores of rungs that lie on a known law, for tests."""

import datetime
import math

import numpy as np

from data.interval import Interval
from domainlm.ladder.figures import Point
from evaluation.bits_per_byte import DocumentScore, Score

X = (0.003, 0.01, 0.04)


def needs(x: float, document: int) -> float:
    """Bits per byte: the document's own difficulty times a power law."""
    return (1.2 + 0.01 * (document % 7)) * x**-0.07


def points(documents: int = 30, few: int = 3) -> list[Point]:
    """Three rungs; of bank / future some documents, of wiki / past a few."""
    day = Interval.of_day(datetime.date(2020, 1, 1))
    names = [("bank", "future")] * documents + [("wiki", "past")] * few
    return [
        Point(
            x,
            [
                DocumentScore(*name, day, Score(needs(x, place) * 100 * math.log(2), 30, 100))
                for place, name in enumerate(names)
            ],
            f"checkpoint {x}",
        )
        for x in X
    ]


def at_one(documents: range) -> float:
    return float(np.mean([needs(1.0, document) for document in documents]))
