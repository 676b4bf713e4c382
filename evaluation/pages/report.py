"""One self-contained HTML page about a run: the verdict first, then its figures, plots, samples and data."""

import json
import math
import os
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from data.files import parse_object, read_object, write_atomically
from evaluation.baselines import Results, measured
from evaluation.bits_per_byte import Figures
from evaluation.gradient_noise import between, critical_batch, in_rows
from evaluation.pages import comparison
from evaluation.pages.figures import figure, pointer
from evaluation.pages.html import Row, Table, write_page
from evaluation.pages.report_plots import baselines_plot, bits_per_byte_plot, periods_plot, tasks_plot, training_plots
from evaluation.pages.spending import Spending, spending_plot, spending_table
from evaluation.pages.wording import NOTHING_HELD_OUT, median_mfu

PAGE, FACTS = "report.html", "report.json"
BASELINE_NAMES = {
    "ngram": "a byte n-gram model",
    "xz": "xz",
    "xz_primed": "xz primed with the training text",
    "zstd": "zstd",
    "zstd_primed": "zstd primed with the training text",
}
TOKENIZER_FACTS = ("kind", "vocabulary_size", "split", "sources")
CORPUS_COUNTS = ("read", "kept", "dropped", "quarantined")
LAST = {"steps": "step", "tokens": "tokens"}  # what the last line of metrics.jsonl counts
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

    @property
    def files(self) -> tuple[Path, Path, Path, Path]:
        """What figures are read from."""
        return self.metrics, self.evaluation, self.corpus, self.tokenizer


class _Addresses(NamedTuple):
    """From the page to the files that its figures are from."""

    metrics: str
    evaluation: str
    corpus: str
    tokenizer: str

    @property
    def commands(self) -> dict[str, str]:
        """What writes each."""
        commands = ("train", "evaluate", "prepare", "tokenize")
        return {quote(file): f"domainlm {command} CONFIG" for file, command in zip(self, commands, strict=True)} | {
            FACTS: "domainlm report CONFIG"
        }


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

    What is in no other file is written into report.json: parameters, training_seconds, critical_batch, verdict,
    spending.

    Raises:
        DataError: a file is not JSON, or a line of the metrics but a last one that was cut short.
    """
    metrics = _read_lines(inputs.metrics)
    evaluation, corpus, tokenizer = (_read(path) for path in (inputs.evaluation, inputs.corpus, inputs.tokenizer))
    files = _Addresses(*(os.path.relpath(path, folder) for path in inputs.files))
    sources, baselines = evaluation.get("sources", {}), evaluation.get("baselines", {})
    verdict = judge(sources, baselines, inputs.domain_sources)
    result_plots = [
        *baselines_plot(sources, baselines, files.evaluation),
        *periods_plot(evaluation.get("periods", {}), files.evaluation),
    ]
    noise = critical_batch(metrics)
    facts = {
        "parameters": inputs.parameters,
        "training_seconds": training_seconds(metrics),
        "critical_batch": asdict(noise) | {"text": in_rows(noise)},
        "verdict": verdict and {**asdict(verdict), "wins": verdict.wins, "text": str(verdict)},
        "spending": inputs.spending and asdict(inputs.spending),
    }
    write_atomically(folder / FACTS, json.dumps(facts, indent=1, ensure_ascii=False))
    return write_page(
        folder / PAGE,
        inputs.name,
        files.commands,
        {
            "result_plots": result_plots,
            "run_plots": [
                *bits_per_byte_plot(metrics, files.metrics),
                *tasks_plot(metrics, files.metrics),
                *training_plots(metrics, files.metrics),
            ],
            "spending_plots": spending_plot(inputs.spending) if inputs.spending else [],
        },
        step=evaluation.get("step"),
        evaluated=bool(evaluation),
        nothing=NOTHING_HELD_OUT,
        verdict=verdict,
        lacking=inputs.lacking,
        compared=comparison.PAGE if (folder / comparison.PAGE).exists() else None,
        verdict_text=figure(verdict, "text", pointer(FACTS, "verdict", "text")),
        key_figures=key_figures(inputs.parameters, metrics, files.metrics),
        results=compare(sources, baselines, files.evaluation),
        methods=evaluation.get("baseline_methods", {}),
        notes=evaluation.get("notes", []),
        spending=inputs.spending,
        spending_table=spending_table(inputs.spending) if inputs.spending else None,
        samples=inputs.samples,
        data=[
            ("Corpus", list(outline_tables(_counts(corpus), files.corpus))),
            ("Tokenizer", list(outline_tables(_brief(tokenizer), files.tokenizer))),
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


def key_figures(
    parameters: int, lines: Sequence[Mapping[str, Any]], file: str = "metrics.jsonl"
) -> list[tuple[str, str]]:
    """Label and value of what describes the run in short, from the lines of metrics.jsonl."""
    figures: list[tuple[str, str]] = [("parameters", figure(parameters, ",d", pointer(FACTS, "parameters")))]
    steps = {number: line for number, line in enumerate(lines) if "tokens_per_second" in line}
    if steps:
        last = max(steps)
        figures += [(key, figure(steps[last][f], ",d", pointer(file, last, f))) for key, f in LAST.items()]
        if all("seconds" in line for line in steps.values()):
            seconds = training_seconds(steps.values())
            figures.append(("training time", figure(seconds, "duration", pointer(FACTS, "training_seconds"))))
        throughput = statistics.median(line["tokens_per_second"] for line in steps.values())
        every = pointer(file, "*", "tokens_per_second")
        figures.append(("tokens per second", figure(throughput, ",.0f", every, how="median")))
        mfu = median_mfu(list(steps.values()))
        if mfu is not None:
            figures.append(("MFU", figure(mfu, ".1%", pointer(file, "*", "mfu"), how="median")))
    if (noise := critical_batch(lines)).steps:
        label = f"critical batch ({between(noise)})" if between(noise) else "critical batch"
        figures.append((label, figure(in_rows(noise), "text", pointer(FACTS, "critical_batch", "text"))))
    return figures


def training_seconds(steps: Iterable[Mapping[str, Any]]) -> float:
    """Of lines of metrics.jsonl that are steps; the evaluations between them are not training."""
    return math.fsum(line["seconds"] for line in steps if "tokens_per_second" in line and "seconds" in line)


def compare(sources: Figures, baselines: Results, file: str = "evaluate.json") -> Table:
    """Bits per byte of every source and split, the model beside the baselines; and how much priming helps xz."""
    columns = ["bytes", "model", *(name.replace("_", " ") for name in baselines)]
    leak = {"xz", "xz_primed"} <= baselines.keys()
    rows = []
    for source, splits in sources.items():
        for split, figures in splits.items():
            beside = measured(baselines, source, split)
            own = {key: pointer(file, "sources", source, split, key) for key in ("bytes", "bits_per_byte")}
            cells: list[str] = [figure(figures["bytes"], ",d", own["bytes"])]
            cells.append(figure(figures["bits_per_byte"], ".3f", own["bits_per_byte"]))
            origin = {name: pointer(file, "baselines", name, source, split) for name in baselines}
            cells += [figure(beside[name], ".3f", origin[name]) if name in beside else "–" for name in baselines]
            if leak and {"xz", "xz_primed"} <= beside.keys():
                primed = beside["xz_primed"] / beside["xz"]
                cells.append(figure(primed, "change", origin["xz_primed"], per=[origin["xz"]]))
            elif leak:
                cells.append("–")
            rows.append(Row(f"{source}, {split}", 0, cells))
    return Table(columns + ["xz, primed to alone"] * leak, rows)


def outline_tables(report: Mapping[str, Any], file: str = "report.json") -> Iterator[Table]:
    """Tables of any report: one of its plain facts, and one for each entry whose entries can stand side by side."""
    alike = {key: value for key, value in report.items() if _is_table(value)}
    facts = {key: value for key, value in report.items() if key not in alike}
    if facts:
        yield Table([""], list(_outline({pointer(file): facts}, 0)))
    for key, value in alike.items():
        columns = {pointer(file, key, name): entry for name, entry in value.items()}
        yield Table(list(value), list(_outline(columns, 0)))


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(entry, Mapping) for entry in value.values())


def _outline(columns: Mapping[str, Mapping[str, Any]], depth: int) -> Iterator[Row]:
    """Of entries that stand side by side, each with its origin."""
    for key in dict.fromkeys(key for column in columns.values() for key in column):
        values = {origin + pointer("", key)[1:]: column.get(key) for origin, column in columns.items()}
        label = key.replace("_", " ")
        if any(isinstance(value, Mapping) for value in values.values()):
            inner = {origin: value if isinstance(value, Mapping) else {} for origin, value in values.items()}
            if any(inner.values()):
                yield Row(label, depth, [])
                yield from _outline(inner, depth + 1)
        else:
            yield Row(label, depth, [_show(value, origin) for origin, value in values.items()])


def _show(value: Any, origin: str) -> str:
    if value is None or value == []:
        return "–"
    if isinstance(value, list):
        return " · ".join(str(entry).strip() for entry in value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return figure(value, "text", origin)
    return figure(value, ",d" if isinstance(value, int) else ",.4g", origin)


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
    return read_object(path) if path.exists() else {}


def _read_lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a JSON-lines file: a run that was killed may leave a part of one at its end."""
    if not path.exists():
        return []
    remedy = "restore the file, or delete the line: what it said is then not in the report"
    whole = path.read_bytes().split(b"\n")[:-1]
    return [parse_object(line, f"{path}: line {number}", remedy) for number, line in enumerate(whole, start=1)]
