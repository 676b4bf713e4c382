"""Page of a series of cutoffs: what each model needs for each period, and what age costs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from evaluation.pages.charts import Curve, Curves, Point
from evaluation.pages.drawing import Plot
from evaluation.pages.figures import Figure, figure, pointer
from evaluation.pages.html import Row, Table, write_page
from evaluation.pages.report_plots import begin_of

PAGE = "series.html"
FACTS = "series.json"
COMMAND = "domainlm series CONFIG --cutoffs …"


class Cell(NamedTuple):
    """A model's figure for a period, and how it is shown."""

    value: Figure | str
    heat: float
    """From 0, the best model of the period, to 1, the one that is furthest behind the best of its period."""
    read: bool | None
    """Whether the model has read the period; None: a part of it."""


def write_series(result: Mapping[str, Any], name: str, folder: Path) -> Path:
    """Write series.html and its plots as PNG files beside series.json, whose content `result` is."""
    return write_page(
        folder / PAGE,
        name,
        {FACTS: COMMAND},
        {"ages": _age_plots(result)},
        verdict=figure(result["verdict"], "text", pointer(FACTS, "verdict")),
        periods=result["periods"],
        matrix=matrix(result),
        intervals=_intervals(result),
        documents=[
            figure(number, ",d", pointer(FACTS, "documents", place)) for place, number in enumerate(result["documents"])
        ],
        ageing=_ageing(result),
        of_no_period=figure(result["of_no_period"], ",d", pointer(FACTS, "of_no_period")),
    )


def matrix(result: Mapping[str, Any]) -> list[tuple[str, list[Cell]]]:
    """A row for each model, by its cutoff."""
    best = [min(column) for column in zip(*result["bits_per_byte"], strict=True)]
    behind = (value - least for row in result["bits_per_byte"] for value, least in zip(row, best, strict=True))
    furthest = max(behind, default=0.0)
    return [
        (
            cutoff,
            [
                Cell(
                    _shown(value, "bits_per_byte", row, column),
                    (value - best[column]) / (furthest or 1.0),
                    result["read"][row][column],
                )
                for column, value in enumerate(result["bits_per_byte"][row])
            ],
        )
        for row, cutoff in enumerate(result["cutoffs"])
    ]


def _shown(value: float | None, *path: str | int) -> Figure | str:
    return "–" if value is None else figure(value, ".3f", pointer(FACTS, *path))


def _intervals(result: Mapping[str, Any]) -> Table:
    rows = []
    for column, period in enumerate(result["periods"]):
        rows.append(Row(period, 0, []))
        for row, cutoff in enumerate(result["cutoffs"]):
            cells = [_shown(result[key][row][column], key, row, column) for key in ("bits_per_byte", "low", "high")]
            rows.append(Row(f"text of before {cutoff}", 1, cells))
    return Table(["bits per byte", "from", "to"], rows)


def _ageing(result: Mapping[str, Any]) -> Table:
    rows = []
    for place, found in enumerate(result["ageing"]):
        cells = [
            "–" if found[key] is None else figure(found[key], written, pointer(FACTS, "ageing", place, key))
            for key, written in (("value", "+.3f"), ("low", "+.3f"), ("high", "+.3f"), ("documents", ",d"))
        ]
        rows.append(Row(f"period {found['periods']} after the cutoff", 0, cells))
    return Table(["bits per byte more", "from", "to", "documents"], rows)


def _age_plots(result: Mapping[str, Any]) -> list[Plot]:
    """One curve a model: its figures over the periods; nothing of a single period."""
    periods = result["periods"]
    if len(periods) < 2:
        return []
    curves = []
    for row, cutoff in enumerate(result["cutoffs"]):
        points = [
            Point(begin_of(period), value, period, figure(value, ".3f", pointer(FACTS, "bits_per_byte", row, column)))
            for column, (period, value) in enumerate(zip(periods, result["bits_per_byte"][row], strict=True))
        ]
        curves.append(
            Curve(
                f"text of before {cutoff}",
                [point.x for point in points],
                [point.y for point in points],
                points,
                row % 7,
                row >= 7,  # there are seven colours
            )
        )
    caption = "Bits per byte of each period, by what the model has read"
    return [Plot("series", caption, Curves(curves, "date of the text"), wide=True)]
