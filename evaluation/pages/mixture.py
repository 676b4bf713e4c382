"""Page of a mixture: what each source's share does to the domain's text, what was tried, and what is proposed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evaluation.pages.charts import Bar, Bars, Curve, Curves, Point, Segment
from evaluation.pages.drawing import Plot
from evaluation.pages.figures import Figure, figure, pointer
from evaluation.pages.html import Row, Table, write_page

PAGE = "mixture.html"
FACTS = "mixture.json"
COMMAND = "domainlm mixture CONFIG"


def write_mixture(result: Mapping[str, Any], name: str, folder: Path) -> Path:
    """Write mixture.html and its plots as PNG files beside mixture.json, whose content `result` is."""
    plots = [_weights_plot(result), _curves_plot(result)]
    return write_page(
        folder / PAGE,
        name,
        {FACTS: COMMAND},
        {"shown": plots},
        verdict=figure(result["verdict"], "text", pointer(FACTS, "verdict")),
        aims=", ".join(result["aims"]),
        proposed=_proposed(result),
        tried=_tried(result),
        laws=_laws(result),
        tokens=_of(result, ",d", "tokens"),
        passes=_of(result, "g", "passes"),
    )


def _of(result: Mapping[str, Any], written: str, *path: str | int) -> Figure | str:
    value: Any = result
    for step in path:
        value = value[step]
    return "–" if value is None else figure(value, written, pointer(FACTS, *path))


def _weights_plot(result: Mapping[str, Any]) -> Plot:
    def bar(label: str, length: float, *path: str) -> Bar:
        shown = figure(length, "#.3g", pointer(FACTS, *path))
        return Bar(label, [Segment(label, length, shown)], [shown], strong=label == "proposed")

    groups = {
        name: [
            bar("configured", result["configured"][name], "configured", name),
            bar("proposed", each["value"], "weights", name, "value"),
        ]
        for name, each in result["weights"].items()
    }
    return Plot("mixture-weights", "Share of the training text", Bars(groups, {"configured": 0, "proposed": 1}))


def _curves_plot(result: Mapping[str, Any]) -> Plot:
    curves = []
    for number, (name, places) in enumerate(result["curves"].items()):
        points = [
            Point(
                each["share"],
                each["bits_per_byte"],
                f"{each['share']:.2f}",
                figure(each["bits_per_byte"], ".3f", pointer(FACTS, "curves", name, place, "bits_per_byte")),
            )
            for place, each in enumerate(places)
        ]
        curves.append(
            Curve(name, [point.x for point in points], [point.y for point in points], points, number % 7, number >= 7)
        )
    caption = "Bits per byte by a source's share, the others in proportion, as the law has it"
    return Plot("mixture-curves", caption, Curves(curves, "share of the source", whole=False))


def _proposed(result: Mapping[str, Any]) -> Table:
    rows = []
    for name in result["weights"]:
        gained = [_of(result, "+.4f", "gained_by_a_hundredth", name, end) for end in ("value", "low", "high")]
        ends = [_of(result, "#.3g", "weights", name, end) for end in ("value", "low", "high")]
        rows.append(Row(name, 0, [_of(result, "#.3g", "configured", name), *ends, *gained]))
    return Table(["configured", "proposed", "from", "to", "1 % more brings", "from", "to"], rows)


def _tried(result: Mapping[str, Any]) -> Table:
    names, texts = list(result["configured"]), list(result["runs"][0]["bits_per_byte"])
    rows = [
        Row(
            "configured" if not place else f"run {place}",
            0,
            [
                *(_of(result, "#.3g", "runs", place, "weights", name) for name in names),
                *(_of(result, ".3f", "runs", place, "bits_per_byte", text) for text in texts),
            ],
        )
        for place in range(len(result["runs"]))
    ]
    return Table([*names, *texts], rows)


def _laws(result: Mapping[str, Any]) -> Table:
    rows = [
        Row(
            f"{law['source']}/{law['split']}",
            0,
            [_of(result, ",d", "laws", place, "documents"), _of(result, ".4f", "laws", place, "error")],
        )
        for place, law in enumerate(result["laws"])
    ]
    return Table(["documents", "missed by"], rows)
