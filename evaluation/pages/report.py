"""One self-contained HTML page about a run: the verdict first, then its figures, plots, samples and data."""

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import DataError
from data.progress import duration
from evaluation.baselines import Results, measured
from evaluation.bits_per_byte import Figures
from evaluation.pages.html import Row, Table, write_page
from evaluation.pages.report_plots import baselines_plot, bits_per_byte_plot, periods_plot, training_plots
from evaluation.pages.spending import Spending, spending_plot, spending_table
from evaluation.pages.wording import NOTHING_HELD_OUT, median_mfu

PAGE = "report.html"
BASELINE_NAMES = {
    "ngram": "a byte n-gram model",
    "xz": "xz",
    "xz_primed": "xz primed with the training text",
    "zstd": "zstd",
    "zstd_primed": "zstd primed with the training text",
}
TOKENIZER_FACTS = ("kind", "vocabulary_size", "split", "sources")
CORPUS_COUNTS = ("read", "kept", "dropped", "quarantined")
SPLIT_NAMES = {"future": "later-in-time text", "past": "held-out text"}


@dataclass(frozen=True)
class ReportInputs:
    """What a report is made from; a file that does not exist is left out of it."""

    name: str
    """Of the run: the title."""
    metrics: Path
    """metrics.jsonl of the run."""
    evaluation: Path
    """reports/evaluate.json."""
    corpus: Path
    """The corpus's report.json."""
    tokenizer: Path
    """The tokenizer's report.json."""
    samples: Sequence[Mapping[str, str]]
    """Each with `prompt` and `text`, the model's continuation."""
    domain_sources: Sequence[str]
    """The sources that the verdict is about; all of them when none is named."""
    parameters: int
    spending: Spending | None = None
    """None: nothing has been trained."""
    lacking: str = ""
    """What is to be said of metrics that are not there."""


@dataclass(frozen=True)
class Verdict:
    """Bits per byte of the domain's held-out text, all its sources together, of the model and of the best baseline."""

    split: str
    model: float
    baseline: str | None
    best: float | None

    @property
    def wins(self) -> bool:
        return self.best is not None and self.model < self.best

    def __str__(self) -> str:
        text = (
            f"On the domain's {SPLIT_NAMES.get(self.split, self.split)} the model needs {self.model:.3f} bits per byte"
        )
        if self.baseline is None or self.best is None:
            return f"{text}. No baseline has been measured beside it."
        text += f"; the best baseline, {BASELINE_NAMES.get(self.baseline, self.baseline)}, needs {self.best:.3f}"
        difference = abs(self.model / self.best - 1)
        if self.wins:
            return f"{text}: {difference:.1%} fewer."
        return f"{text}. The model needs {difference:.1%} more: it is not yet better than a method that needs no GPU."


def write_report(inputs: ReportInputs, folder: Path) -> Path:
    """Write report.html and its plots as PNG files; what was not recorded is left out.

    Raises:
        DataError: a file is not JSON, or a line of the metrics but a last one that was cut short.
    """
    metrics = _read_lines(inputs.metrics)
    steps = [line for line in metrics if "loss" in line]
    evaluation, corpus, tokenizer = (_read(path) for path in (inputs.evaluation, inputs.corpus, inputs.tokenizer))
    sources, baselines = evaluation.get("sources", {}), evaluation.get("baselines", {})
    result_plots = [*baselines_plot(sources, baselines), *periods_plot(evaluation.get("periods", {}))]
    run_plots = [*bits_per_byte_plot([line for line in metrics if "evaluation" in line]), *training_plots(steps)]
    return write_page(
        folder / PAGE,
        inputs.name,
        {
            "result_plots": result_plots,
            "run_plots": run_plots,
            "spending_plots": spending_plot(inputs.spending) if inputs.spending else [],
        },
        step=evaluation.get("step"),
        evaluated=bool(evaluation),
        nothing=NOTHING_HELD_OUT,
        verdict=judge(sources, baselines, inputs.domain_sources),
        lacking=inputs.lacking,
        key_figures=key_figures(inputs.parameters, steps),
        results=compare(sources, baselines),
        methods=evaluation.get("baseline_methods", {}),
        notes=evaluation.get("notes", []),
        spending=inputs.spending,
        spending_table=spending_table(inputs.spending) if inputs.spending else None,
        samples=inputs.samples,
        data=[
            ("Corpus", list(outline_tables(_counts(corpus)))),
            ("Tokenizer", list(outline_tables(_brief(tokenizer)))),
        ],
    )


def judge(sources: Figures, baselines: Results, domain_sources: Sequence[str]) -> Verdict | None:
    """Compare on the later-in-time text, or on the other held-out text where there is none; None without either.

    A baseline counts if it was measured on all that the model was.
    """
    wanted = domain_sources or list(sources)
    for split in ("future", "past"):
        sizes = {source: sources[source][split]["bytes"] for source in wanted if split in sources.get(source, {})}
        if sizes:
            model = _pooled({source: sources[source][split]["bits_per_byte"] for source in sizes}, sizes)
            beside = {
                name: _pooled({source: found[source][split] for source in sizes}, sizes)
                for name, found in baselines.items()
                if all(split in found.get(source, {}) for source in sizes)
            }
            best = min(beside, key=lambda name: beside[name], default=None)
            return Verdict(split, model, best, beside[best] if best else None)
    return None


def _pooled(bits_per_byte: Mapping[str, float], sizes: Mapping[str, float]) -> float:
    """Of all sources together."""
    return sum(bits_per_byte[source] * size for source, size in sizes.items()) / sum(sizes.values())


def key_figures(parameters: int, steps: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Label and value of what describes the run in short, from its training steps."""
    figures = [("parameters", f"{parameters:,}")]
    if steps:
        figures += [("steps", f"{steps[-1]['step']:,}"), ("tokens", f"{steps[-1]['tokens']:,}")]
        if all("seconds" in line for line in steps):
            figures.append(("training time", duration(sum(line["seconds"] for line in steps))))
        throughput = statistics.median(line["tokens_per_second"] for line in steps)
        mfu = median_mfu(steps)
        figures += [("tokens per second", f"{throughput:,.0f}"), *([] if mfu is None else [("MFU", f"{mfu:.1%}")])]
    return figures


def compare(sources: Figures, baselines: Results) -> Table:
    """Bits per byte of every source and split, the model beside the baselines; and how much priming helps xz."""
    columns = ["bytes", "model", *(name.replace("_", " ") for name in baselines)]
    leak = {"xz", "xz_primed"} <= baselines.keys()
    rows = []
    for source, splits in sources.items():
        for split, figures in splits.items():
            beside = measured(baselines, source, split)
            cells = [f"{figures['bytes']:,}", f"{figures['bits_per_byte']:.3f}"]
            cells += [f"{beside[name]:.3f}" if name in beside else "–" for name in baselines]
            if leak:
                both = {"xz", "xz_primed"} <= beside.keys()
                cells.append(f"{beside['xz_primed'] / beside['xz'] - 1:+.1%}" if both else "–")
            rows.append(Row(f"{source}, {split}", 0, cells))
    return Table(columns + ["xz, primed to alone"] * leak, rows)


def outline_tables(report: Mapping[str, Any]) -> Iterator[Table]:
    """Tables of any report: one of its plain facts, and one for each entry whose entries can stand side by side."""
    alike = {key: value for key, value in report.items() if _is_table(value)}
    facts = {key: value for key, value in report.items() if key not in alike}
    if facts:
        yield Table([""], list(_outline([facts], 0)))
    for value in alike.values():
        yield Table(list(value), list(_outline(list(value.values()), 0)))


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(entry, Mapping) for entry in value.values())


def _outline(columns: Sequence[Mapping[str, Any]], depth: int) -> Iterator[Row]:
    for key in dict.fromkeys(key for column in columns for key in column):
        values = [column.get(key) for column in columns]
        label = key.replace("_", " ")
        if any(isinstance(value, Mapping) for value in values):
            inner = [value if isinstance(value, Mapping) else {} for value in values]
            if any(inner):
                yield Row(label, depth, [])
                yield from _outline(inner, depth + 1)
        else:
            yield Row(label, depth, [_show(value) for value in values])


def _show(value: Any) -> str:
    if value is None or value == []:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float | list):
        return str(value)
    if isinstance(value, list):
        return " · ".join(str(entry).strip() for entry in value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def _counts(corpus: Mapping[str, Any]) -> dict[str, Any]:
    """What a corpus's report counts for each source; the data card shows the rest of it."""
    sources = corpus.get("sources", {}).items()
    brief = {name: {key: source[key] for key in CORPUS_COUNTS if key in source} for name, source in sources}
    return {"sources": brief} if brief else {}


def _brief(tokenizer: Mapping[str, Any]) -> dict[str, Any]:
    """What a tokenizer is and how much text its tokens hold; its own page shows the rest."""
    return {key: tokenizer[key] for key in TOKENIZER_FACTS if key in tokenizer}


def _read(path: Path) -> dict[str, Any]:
    """A JSON file; empty when there is none."""
    return _parse(path.read_bytes(), str(path), "delete it, and run what writes it again") if path.exists() else {}


def _read_lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a JSON-lines file: a run that was killed may leave a part of one at its end."""
    if not path.exists():
        return []
    remedy = "restore the file, or delete the line: what it said is then not in the report"
    whole = path.read_bytes().split(b"\n")[:-1]
    return [_parse(line, f"{path}: line {number}", remedy) for number, line in enumerate(whole, start=1)]


def _parse(content: bytes, place: str, remedy: str) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:  # what is not UTF-8 is one too
        found = None
    if not isinstance(found, dict):
        raise DataError(f"{place} is no record (a JSON object): {remedy}")
    return found
