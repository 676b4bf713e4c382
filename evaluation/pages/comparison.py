"""Page of a comparison: the verdict, each model's bits per byte with its interval, cost, and what to know of it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evaluation.pages.charts import Bar, Bars, Segment
from evaluation.pages.drawing import Plot
from evaluation.pages.figures import Figure, figure, pointer
from evaluation.pages.html import Row, Table, write_page

PAGE = "compare.html"
FACTS = "compare.json"
COMMAND = "domainlm compare CONFIG MODEL …"
COSTS = {
    "tokens_per_second": ("tokens per second, scoring", ",.0f", 1.0),
    "bytes_per_second": ("bytes of text per second", ",.0f", 1.0),
    "peak_memory_bytes": ("peak memory, GB", ",.2f", 1e-9),
    "money_per_million_tokens": ("money per million tokens", ",.4f", 1.0),
    "training_device_hours": ("device-hours of training", ",.3f", 1.0),
    "training_money": ("money for training", ",.2f", 1.0),
}
"""Of `cost`: what a row is called, how it is written, and what it is multiplied with."""


def write_comparison(result: Mapping[str, Any], name: str, folder: Path) -> Path:
    """Write compare.html and its plots as PNG files beside compare.json, whose content `result` is."""
    models = result["models"]
    return write_page(
        folder / PAGE,
        name,
        {FACTS: COMMAND},
        {"plots": _plots(models)},
        verdict=figure(result["verdict"], "text", pointer(FACTS, "verdict")),
        sizes=[
            (
                f"{model['name']}, parameters",
                figure(model["parameters"], "short", pointer(FACTS, "models", place, "parameters")),
            )
            for place, model in enumerate(models)
        ],
        tables=[("Bits per byte, with 95 % intervals over documents", results_table(models))]
        + [(f"Bits per byte by period: {model['name']}", table) for model, table in _period_tables(models)],
        tasks=tasks_table(models),
        open_books=[
            (model["name"], figure(found["verdict"], "text", pointer(FACTS, "models", place, "open_book", "verdict")))
            for place, model in enumerate(models)
            if (found := model["open_book"])
        ],
        ways=ways_table(result["ways"]) if result["ways"] else None,
        best=figure(result["ways"]["verdict"], "text", pointer(FACTS, "ways", "verdict")) if result["ways"] else None,
        memorised=memorised_table(models),
        gains=[(model["name"], gains_table(place, model)) for place, model in enumerate(models) if model["gained"]],
        costs=costs_table(models),
        remarks=[(model["name"], remark) for model in models for remark in model["remarks"]],
    )


def _plots(models: Sequence[Mapping[str, Any]]) -> list[Plot]:
    """Bars of all models for each source and split, the first model's in bold."""
    groups = {}
    for source, split in _cells(models):
        groups[f"{source}, {split}"] = [
            Bar(model["name"], [Segment("bits per byte", found["bits_per_byte"], shown)], [shown], strong=place == 0)
            for place, model in enumerate(models)
            if (found := model["sources"].get(source, {}).get(split))
            for field in [pointer(FACTS, "models", place, "sources", source, split, "bits_per_byte")]
            for shown in [figure(found["bits_per_byte"], ".3f", field)]
        ]
    return [Plot("compare", "Bits per byte, fewer are better", Bars(groups, {"bits per byte": 0}), wide=True)]


def _cells(models: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for source, splits in models[0]["sources"].items():
        for split in splits:
            yield source, split


def _value(place: int, path: Sequence[str], found: Mapping[str, Any], *keys: str, written: str = ".3f") -> Figure | str:
    """A field of a model's figure; a dash where it is not known."""
    value: Any = found
    for key in keys:
        value = value[key]
    return "–" if value is None else figure(value, written, pointer(FACTS, "models", place, *path, *keys))


def results_table(models: Sequence[Mapping[str, Any]]) -> Table:
    """A row for each source, split and model: its figure, and its difference from the first model's."""
    rows = []
    for source, split in _cells(models):
        rows.append(Row(f"{source}, {split}", 0, []))
        for place, model in enumerate(models):
            found = model["sources"].get(source, {}).get(split)
            if found is None:
                continue
            path = ("sources", source, split)
            cells = [_value(place, path, found, key) for key in ("bits_per_byte", "low", "high")]
            for end in ("value", "low", "high"):
                known = "difference" in found
                cells.append(_value(place, path, found, "difference", end, written="+.3f") if known else "–")
            cells.append(_value(place, path, found, "documents", written=",d"))
            rows.append(Row(model["name"], 1, cells))
    columns = ["bits per byte", "from", "to", "less the first's", "from", "to", "documents"]
    return Table(columns, rows)


def _period_tables(models: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], Table]]:
    for place, model in enumerate(models):
        rows = []
        for source, splits in model["periods"].items():
            for split, periods in splits.items():
                rows.append(Row(f"{source}, {split}", 0, []))
                for period, found in periods.items():
                    path = ("periods", source, split, period)
                    cells = [_value(place, path, found, key) for key in ("bits_per_byte", "low", "high")]
                    rows.append(Row(period, 1, [*cells, _value(place, path, found, "documents", written=",d")]))
        if rows:
            yield model, Table(["bits per byte", "from", "to", "documents"], rows)


def tasks_table(models: Sequence[Mapping[str, Any]]) -> Table:
    """A row for each task and metric and model that was measured on it."""
    rows = []
    names = dict.fromkeys(
        (task, metric) for model in models for task, found in model["tasks"].items() for metric in found
    )
    for task, metric in names:
        rows.append(Row(f"{task}, {metric}", 0, []))
        for place, model in enumerate(models):
            if (found := model["tasks"].get(task, {}).get(metric)) is not None:
                cells = [_value(place, ("tasks", task, metric), found, end) for end in ("value", "low", "high")]
                rows.append(Row(model["name"], 1, cells))
    return Table(["value", "from", "to"], rows)


def ways_table(ways: Mapping[str, Any]) -> Table:
    """A row for each way of answering the questions, and one for its difference from each earlier way."""
    rows, ends = [], ("value", "low", "high")

    def cells(written: str, found: Mapping[str, Any], *path: str | int) -> list[Figure | str]:
        return [
            "–" if found[end] is None else figure(found[end], written, pointer(FACTS, "ways", *path, end))
            for end in ends
        ]

    for place, way in enumerate(ways["ways"]):
        nats = cells(".2f", way["nats"], "ways", place, "nats")
        rows.append(Row(way["way"], 0, cells(".3f", way["accuracy"], "ways", place, "accuracy") + nats))
        for number, each in enumerate(ways["differences"]):
            if each["way"] == way["way"]:
                shown = cells("+.3f", each["difference"], "differences", number, "difference")
                shown += cells("+.2f", each["nats"], "differences", number, "nats")
                rows.append(Row(f"less {each['less']}", 1, shown))
    return Table(["right", "from", "to", "nats of the right answer", "from", "to"], rows)


def memorised_table(models: Sequence[Mapping[str, Any]]) -> Table:
    """A row for each stratum of passages and model that was audited: the share that it continues exactly."""
    rows = []
    for name in dict.fromkeys(name for model in models for name in model["memorised"]):
        rows.append(Row(name, 0, []))
        for place, model in enumerate(models):
            if (found := model["memorised"].get(name)) is not None:
                path = ("memorised", name)
                cells = [_value(place, path, found, end, written="share") for end in ("value", "low", "high")]
                rows.append(Row(model["name"], 1, [*cells, _value(place, path, found, "of", written=",d")]))
    return Table(["continued exactly", "from", "to", "passages"], rows)


def gains_table(place: int, model: Mapping[str, Any]) -> Table:
    """A row for each source and split: what was gained on it, by how many of its tokens, and by a million of them."""
    rows = []
    ends = ("value", "low", "high")
    for source, splits in model["gained"]["sources"].items():
        for split, found in splits.items():
            path = ("gained", "sources", source, split)
            cells = [_value(place, path, found, end, written="+.3f") for end in ends]
            tokens = model["gained"]["tokens"]
            known = source in tokens
            cells.append(_value(place, ("gained", "tokens"), tokens, source, written=",d") if known else "–")
            each = found["per_million_tokens"]
            cells += [
                _value(place, path, found, "per_million_tokens", end, written="+.3g") if each else "–" for end in ends
            ]
            rows.append(Row(f"{source}, {split}", 0, cells))
    columns = ["bits per byte gained", "from", "to", "tokens of it read", "gained by a million", "from", "to"]
    return Table(columns, rows)


def costs_table(models: Sequence[Mapping[str, Any]]) -> Table:
    """A column for each model; a dash where something is not known."""
    rows = []
    for key, (label, written, factor) in COSTS.items():
        values = [model["cost"].get(key) for model in models]
        if any(value is not None for value in values):
            cells = [
                "–"
                if value is None
                else figure(value * factor, written, pointer(FACTS, "models", place, "cost", key), factor=factor)
                for place, value in enumerate(values)
            ]
            rows.append(Row(label, 0, cells))
    return Table([model["name"] for model in models], rows)
