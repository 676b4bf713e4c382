"""Page of a ladder: what its rungs need, the law through them, and what it says of the planned run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evaluation.pages.charts import Curve, Curves, Point
from evaluation.pages.drawing import Plot
from evaluation.pages.figures import figure, pointer
from evaluation.pages.html import Row, Table, write_page

PAGE = "ladder.html"
FACTS = "ladder.json"
COMMAND = "domainlm ladder CONFIG"
PLACES = 40
"""Of a law's curve."""


def write_ladder(content: Mapping[str, Any], name: str, folder: Path) -> Path:
    """Write ladder.html and its plots as PNG files beside ladder.json, which has `content`."""
    return write_page(
        folder / PAGE,
        name,
        {FACTS: COMMAND},
        {"curves": [_plot(content, number, source) for number, source in enumerate(content["sources"], start=1)]},
        rungs=_rungs(content),
        predicted=_predicted(content),
        doubts=_doubts(content),
        notes=[figure(note, "text", pointer(FACTS, "notes", place)) for place, note in enumerate(content["notes"])],
    )


def _rungs(content: Mapping[str, Any]) -> Table:
    columns = {
        "layers": ",d",
        "width": ",d",
        "parameters": ",d",
        "tokens": ",d",
        "steps": ",d",
        "batch_size": ",d",
        "learning_rate": ".2e",
        "share": ".3%",
    }
    rows = [
        Row(
            f"rung {place + 1}",
            0,
            [figure(rung[key], written, pointer(FACTS, "rungs", place, key)) for key, written in columns.items()],
        )
        for place, rung in enumerate(content["rungs"])
    ]
    return Table([key.replace("_", " ") for key in columns], rows)


def _predicted(content: Mapping[str, Any]) -> Table:
    rows = []
    for source, splits in content["sources"].items():
        rows.append(Row(source, 0, []))
        for split, found in splits.items():
            at = (FACTS, "sources", source, split)
            ends = ("bits_per_byte", "low", "high")
            cells: list[str] = [figure(found[key], ".3f", pointer(*at, key)) for key in ends]
            cells.append(figure(found["backtest"], "+.1%", pointer(*at, "backtest")))
            measured = content["measured"].get(source, {}).get(split)
            cells.append(
                "–" if measured is None else figure(measured, ".3f", pointer(FACTS, "measured", source, split))
            )
            cells.append(figure(found["documents"], ",d", pointer(*at, "documents")))
            rows.append(Row(split, 1, cells))
    return Table(["bits per byte", "from", "to", "error of the largest rung", "measured", "documents"], rows)


def _doubts(content: Mapping[str, Any]) -> Table:
    rows = []
    for source, splits in content["sources"].items():
        for split, found in splits.items():
            rows.append(Row(f"{source} / {split}", 0, []))
            for name, ends in found["doubts"].items():
                at = (FACTS, "sources", source, split, "doubts", name)
                rows.append(Row(name, 1, [figure(ends[key], ".3f", pointer(*at, key)) for key in ("low", "high")]))
    return Table(["from", "to"], rows)


def _plot(content: Mapping[str, Any], number: int, source: str) -> Plot:
    """For each split of a source the rungs, and the law from the first of them to the planned run."""
    curves: list[Curve] = []
    xs: Sequence[float] = content["x"]
    for colour, (split, found) in enumerate(content["sources"][source].items()):
        points = [
            Point(x, rung["sources"][source][split], _share(x), figure(rung["sources"][source][split], ".3f", at))
            for place, (x, rung) in enumerate(zip(xs, content["rungs"], strict=True))
            for at in [pointer(FACTS, "rungs", place, "sources", source, split)]
        ]
        curves.append(Curve(split, xs, [point.y for point in points], points, colour))
        places = [xs[0] ** (1 - step / PLACES) for step in range(PLACES + 1)]
        law = [found["floor"] + found["scale"] * x ** -found["exponent"] for x in places]
        value = figure(found["bits_per_byte"], ".3f", pointer(FACTS, "sources", source, split, "bits_per_byte"))
        end = Point(1.0, found["bits_per_byte"], _share(1.0), value)
        curves.append(Curve(f"{split}, law", places, law, [end], colour, dashed=True))
    ticks = {x: _share(x) for x in (*xs, 1.0)}
    chart = Curves(curves, "computation, as a share of the planned run's", ticks=ticks)
    return Plot(f"ladder-{number}", f"Bits per byte of {source}", chart)


def _share(x: float) -> str:
    return f"{x:.2g}" if x < 1 else "planned run"
