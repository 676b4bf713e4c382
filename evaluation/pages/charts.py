"""What a plot shows, without how it is drawn: curves, lying bars or columns, and each value with its origin."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from evaluation.pages.figures import Figure

MOST_POINTS = 120
"""Of a curve that can be asked for their values; a screen has no room for more."""


class Point(NamedTuple):
    """A place of a curve that can be asked for its value."""

    x: float
    y: float
    label: str
    """Where it is, such as "step 10"."""
    figure: Figure


@dataclass(frozen=True)
class Curve:
    """A line through all of its places, some or all of which can be asked for."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    """Not a number: the line has a gap."""
    points: Sequence[Point] = ()
    colour: int = 0
    dashed: bool = False
    faint: bool = False


@dataclass(frozen=True)
class Curves:
    curves: Sequence[Curve]
    x_label: str
    from_zero: bool = False
    whole: bool = True
    """Whether there are only whole numbers on the lower axis."""
    ticks: Mapping[float, str] = field(default_factory=dict)
    """Of the lower axis, which is then logarithmic."""
    mark: tuple[float, str] | None = None
    """A place of the lower axis at which an upright line stands, and what that means."""


class Segment(NamedTuple):
    """A part of a bar: what it is of, its length, and its value as text."""

    label: str
    length: float
    figure: Figure


class Bar(NamedTuple):
    label: str
    segments: Sequence[Segment]
    end: Sequence[str] = ()
    """What is written behind the bar: of one segment, its value."""
    strong: bool = False


@dataclass(frozen=True)
class Bars:
    """Lying bars in groups, the first on top; all have one scale."""

    groups: Mapping[str, Sequence[Bar]]
    """Heading → bars; without a heading, "", where there is one group only."""
    legend: Mapping[str, int]
    """Label of a segment → colour; a label that is not in it is grey."""

    @property
    def longest(self) -> float:
        """Length of the longest bar."""
        lengths = (sum(part.length for part in bar.segments) for bars in self.groups.values() for bar in bars)
        return max(lengths, default=0.0) or 1.0


@dataclass(frozen=True)
class Columns:
    """Upright bars, on one another at each place."""

    series: Mapping[str, Mapping[int, tuple[float, Figure]]]
    """Name → place → height and its text; from the bottom, in the order of the colours."""
    labels: Mapping[int, str]
    """What is at each place, in words."""
    width: float = 1
    """Of a place: a column stands between its place and the place plus this."""
    ticks: Mapping[float, str] = field(default_factory=dict)
    """Of the lower axis; whole numbers where none are given."""
    x_label: str = ""
    mark: tuple[float, str] | None = None
    """As of `Curves`."""

    @property
    def legend(self) -> dict[str, int]:
        """Name and colour; the colours are the same in all plots of a page, also of a name that is absent here."""
        return {name: place for place, (name, heights) in enumerate(self.series.items()) if heights}


def evenly(count: int, most: int = MOST_POINTS) -> list[int]:
    """At most so many of `count` places, evenly spread, the first and the last among them."""
    if count <= most:
        return list(range(count))
    return sorted({round(place * (count - 1) / (most - 1)) for place in range(most)})
