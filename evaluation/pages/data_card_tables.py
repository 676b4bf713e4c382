"""The words and tables of a data card, from the corpus's report and the counts of its shards."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from data.corpus.counts import NO_DATE
from data.corpus.split import STRADDLES
from data.interval import PRECISIONS
from evaluation.pages.corpus_report import Contamination, CorpusReport, KeptDocuments, Sample
from evaluation.pages.document_counts import Counts, DocumentCounts, SplitCounts, totals_by_source, totals_by_split
from evaluation.pages.figures import figure, pointer
from evaluation.pages.html import Row, Table
from evaluation.pages.wording import number_in_words, text_size

SPLIT_MEANINGS = {
    "train": "what a model learns from",
    "past": "held out at random from the same time",
    "future": "held out: surely of the cutoff or later",
}
FACTS = "data_card.json"
SEVERAL, UNDATED = "several", "undated"  # beside years: of no single one, and without a date
OF_DAYS = ("of one day", "of days of one month", "of days of one year", "of several years", "of any day up to the last")
PRECISION_MEANINGS = dict(zip((*PRECISIONS, NO_DATE), (*OF_DAYS, "without a date"), strict=True))
OF_HELD_OUT = " of held-out text"
DOMAIN_NAMED = 2  # sources that the first sentence has room for
SOURCES_BESIDE = 6  # columns that a printed page has room for
MOST_ROWS = 40  # a page is read by people; data_card.json has every row
PERIODS = (1, 5, 10, 25, 50, 100, 1000)  # years in a row of the table of years
SAMPLES_SHOWN = 4  # of each reason
DOCUMENTS_SHOWN = 5  # of each contaminated item

_Line = tuple[str, int, Mapping[str, int], Sequence[Sequence[str]]]
"""Label, depth, a count of each source, and the keys that lead from a source in data_card.json to what is summed."""


def fact(*steps: str | int) -> str:
    """Where in data_card.json something is."""
    return pointer(FACTS, *steps)


def summary(report: CorpusReport, counts: SplitCounts) -> str:
    """What the corpus is, in two sentences."""
    totals = totals_by_split(counts)
    total, train = Counts.total(totals.values()), totals.get("train", Counts())
    held_out = total.documents - train.documents
    text = (
        f"{total.documents:,} documents of {len(report.sources)} source{'s' * (len(report.sources) > 1)}"
        f"{_domain(report)}: {text_size(total.bytes)} of text, {number_in_words(total.tokens)} tokens. "
    )
    if report.cutoff is None:
        return text + f"{train.documents:,} are to be learnt from and {held_out:,} are held out, whatever their dates."
    undated = sum(found.undated.documents for found in counts.get("train", {}).values())
    straddling = sum(source.dropped.get(STRADDLES, 0) for source in report.sources.values())
    return text + (
        f"{train.documents:,} are to be learnt from, none of them dated {report.cutoff} or later"
        f"{f' ({undated:,} have no date)' if undated else ''}; {held_out:,} are held out to measure what was learnt"
        + (f"; {straddling:,} that may be of either side are in neither." if straddling else ".")
    )


def _domain(report: CorpusReport) -> str:
    names = [name for name, source in report.sources.items() if source.domain]
    if not names:
        return ""
    if len(names) > DOMAIN_NAMED:
        return f", of which {len(names)} are the domain's"
    return f", of which {' and '.join(names)} {'is' if len(names) == 1 else 'are'} the domain's"


def key_figures(report: CorpusReport, counts: SplitCounts) -> list[tuple[str, str]]:
    """Label and value of what describes the corpus in short."""
    totals = totals_by_split(counts)
    total, train = Counts.total(totals.values()), totals.get("train", Counts())
    read = sum(source.read for source in report.sources.values())
    every = fact("totals", "documents")
    held_out = [fact("sources", "*", "kept", split, "tokens") for split in ("past", "future")]
    return [
        ("records read", figure(read, "words", fact("totals", "read"))),
        ("kept", figure(total.documents / read, "share", every, per=[fact("totals", "read")]) if read else "–"),
        ("text", figure(total.bytes, "text size", fact("totals", "bytes"))),
        ("training tokens", figure(train.tokens, "words", fact("sources", "*", "kept", "train", "tokens"))),
        ("held-out tokens", figure(total.tokens - train.tokens, "words", *held_out)),
        ("cutoff", figure(report.cutoff, "text", fact("cutoff")) if report.cutoff else "none"),
    ]


def duplicates_found(report: CorpusReport) -> dict[str, int]:
    """Documents dropped as exact and as near-duplicates, and how many of both were of held-out text."""
    dropped: Counter[str] = Counter()
    for source in report.sources.values():
        dropped.update(source.dropped)
    exact, near = (dropped[kind] + dropped[kind + OF_HELD_OUT] for kind in ("duplicate", "near-duplicate"))
    held_out = sum(count for reason, count in dropped.items() if reason.endswith(OF_HELD_OUT))
    return {"exact": exact, "near": near, "held_out": held_out}


def source_tables(report: CorpusReport, counts: SplitCounts) -> list[Table]:
    """Where each source comes from, in words; and its figures."""
    totals = totals_by_source(counts)
    tokens = Counts.total(totals.values()).tokens
    origins, figures = [], []
    for name, source in report.sources.items():
        purpose = "domain" if source.domain else "general"
        origins.append(Row(name, 0, [purpose, source.path, source.licence or "–", source.language or "any"]))
        total = totals.get(name, Counts())
        kept = {key: fact("sources", name, "kept", "*", key) for key in ("documents", "bytes", "tokens")}
        cells: list[str] = [figure(source.read, ",d", fact("sources", name, "read"))]
        cells.append(figure(source.documents, ",d", kept["documents"]))
        cells.append(figure(total.bytes, "text size", kept["bytes"]))
        cells.append(figure(total.tokens, ",d", kept["tokens"]))
        cells.append(_share(total.tokens, tokens, [kept["tokens"]], [fact("totals", "tokens")]))
        ratio = total.tokens and figure(total.bytes / total.tokens, ".2f", kept["bytes"], per=[kept["tokens"]])
        cells += [ratio or "–", *_dates(source.kept.values(), [name], "*")]
        figures.append(Row(name, 0, cells))
    columns = ["read", "kept", "text", "tokens", "of all tokens", "bytes per token", "first date", "last date"]
    return [Table(["purpose", "origin", "licence unless stated", "language"], origins), Table(columns, figures)]


def split_table(report: CorpusReport, counts: SplitCounts) -> Table:
    """The splits, and the sources in each."""
    rows = []
    for split, meaning in SPLIT_MEANINGS.items():
        kept = {name: source.kept[split] for name, source in report.sources.items() if split in source.kept}
        found = {name: counts[split][name] for name in kept if name in counts.get(split, {})}
        if found:
            rows.append(_split_row(f"{split}: {meaning}", 0, split, found, kept))
            rows += [_split_row(name, 1, split, {name: source}, kept) for name, source in found.items()]
    return Table(["documents", "no date", "first date", "last date", "characters", "bytes", "tokens"], rows)


def _split_row(
    label: str, depth: int, split: str, counts: Mapping[str, DocumentCounts], kept: Mapping[str, KeptDocuments]
) -> Row:
    total = Counts.total(source.total for source in counts.values())
    undated = sum(source.undated.documents for source in counts.values())
    characters = sum(kept[name].characters for name in counts)
    values = {"documents": total.documents, "characters": characters, "bytes": total.bytes, "tokens": total.tokens}
    said = {
        key: figure(value, ",d", *(fact("sources", name, "kept", split, key) for name in counts))
        for key, value in values.items()
    }
    none = [fact("sources", name, "kept", split, "years", "undated", "documents") for name in counts]
    dates = _dates([kept[name] for name in counts], list(counts), split)
    sizes = [said[key] for key in ("characters", "bytes", "tokens")]
    return Row(label, depth, [said["documents"], figure(undated, ",d", *none), *dates, *sizes])


def fates_tables(report: CorpusReport) -> list[Table]:
    """What became of the records: kept, or why not, by source."""
    sources = report.sources
    read = {name: source.read for name, source in sources.items()}
    lines: list[_Line] = [("read", 0, read, [["read"]])]
    lines.append(
        ("kept", 0, {name: source.documents for name, source in sources.items()}, [["kept", "*", "documents"]])
    )
    for fate in ("dropped", "quarantined"):
        by_source: dict[str, Mapping[str, int]] = {name: getattr(source, fate) for name, source in sources.items()}
        lines.append((fate, 0, {name: sum(found.values()) for name, found in by_source.items()}, [[fate, "*"]]))
        lines += _by_reason(by_source, fate, depth=1)
    return _beside(lines, list(sources), sum(read.values()), ["read"])


def dropped_tables(report: CorpusReport) -> list[Table]:
    """Characters of what was dropped, by reason and source; nothing for older corpora, which do not say it."""
    by_source = {name: source.dropped_characters for name, source in report.sources.items()}
    dropped = sum(sum(found.values()) for found in by_source.values())
    return _beside(
        _by_reason(by_source, "dropped_characters"), list(report.sources), dropped, ["dropped_characters", "*"]
    )


def lost_files_table(report: CorpusReport) -> Table:
    """Files that are damaged or have no readable record; no rows where there are none."""
    return Table(
        ["source", "bytes"],
        [
            Row(file, 0, [name, figure(size, ",d", fact("sources", name, "lost_files", file))])
            for name, source in report.sources.items()
            for file, size in source.lost_files.items()
        ],
    )


def empty_files_table(report: CorpusReport) -> Table:
    """The sources of which files have no text at all; no rows where there are none."""
    found = {name: source.empty_files for name, source in report.sources.items() if source.empty_files.files}
    rows = [Row(name, 0, [f"{empty.files:,}", ", ".join(empty.first)]) for name, empty in found.items()]
    return Table(["files", "the first of them"], rows)


def licence_tables(report: CorpusReport) -> list[Table]:
    """Documents kept under each licence, by source."""
    by_source = {name: source.licences for name, source in report.sources.items()}
    documents = sum(source.documents for source in report.sources.values())
    return _beside(_by_reason(by_source, "licences"), list(report.sources), documents, ["kept", "*", "documents"])


def language_table(report: CorpusReport) -> Table:
    """What language was asked for, and what else was found; no rows when none was asked for."""
    rows = []
    for name, source in report.sources.items():
        others = {
            reason.removeprefix("language: "): count
            for reason, count in source.dropped.items()
            if reason.startswith("language: ")
        }
        found = ", ".join(f"{code} {count:,}" for code, count in Counter(others).most_common())
        kept = figure(source.documents, ",d", fact("sources", name, "kept", "*", "documents"))
        rows.append(Row(name, 0, [source.language or "any", kept, found or "–"]))
    asked = any(source.language for source in report.sources.values())
    return Table(["language asked for", "documents kept", "dropped as another language"], rows if asked else [])


def removal_tables(report: CorpusReport) -> list[Table]:
    """What was taken out of the documents kept: lines, and personal data by kind; nothing when none was looked for."""
    removed = {name: source.removed_lines for name, source in report.sources.items()}
    lines: list[_Line] = []
    if any(removed.values()):
        lines.append(("boilerplate lines removed", 0, removed, [["removed_lines"]]))
    kinds = sorted({kind for source in report.sources.values() for kind in source.scrubbed})
    if kinds:  # those that were looked for, found or not
        totals = {name: sum(source.scrubbed.values()) for name, source in report.sources.items()}
        lines.append(("personal data replaced by a mark", 0, totals, [["scrubbed", "*"]]))
        for kind in kinds:
            found = {name: source.scrubbed.get(kind, 0) for name, source in report.sources.items()}
            lines.append((kind, 1, found, [["scrubbed", kind]]))
    return _beside(lines, list(report.sources))


def removals_of(report: CorpusReport) -> str:
    """Of which texts `removal_tables` tells."""
    is_older = any(source.boilerplate_lines is None for source in report.sources.values())
    return "in all texts that were read, those that were dropped afterwards too" if is_older else "in what was kept"


def boilerplate_tables(report: CorpusReport) -> list[Table]:
    """The lines that each boilerplate expression matches in what was read, by source; those that match none too."""
    by_source = {name: source.boilerplate_lines or {} for name, source in report.sources.items()}
    expressions = list(dict.fromkeys(expression for found in by_source.values() for expression in found))
    counted = {
        expression: {name: found.get(expression, 0) for name, found in by_source.items()} for expression in expressions
    }
    ordered = sorted(expressions, key=lambda expression: sum(counted[expression].values()))
    lines = [
        (expression, 0, counted[expression], [["boilerplate_lines", expression]]) for expression in ordered[:MOST_ROWS]
    ]
    return _beside(lines, list(report.sources))


def contamination_table(contamination: Contamination | None) -> Table:
    """Evaluation items that training documents share words with, those with the most documents first."""
    touched = contamination.touched if contamination else {}
    ordered = sorted(touched.items(), key=lambda entry: (-entry[1].documents, entry[0]))
    rows = []
    for item, found in ordered[:MOST_ROWS]:
        named = ", ".join(found.first[:DOCUMENTS_SHOWN])
        more = found.documents - min(DOCUMENTS_SHOWN, len(found.first))
        count = figure(found.documents, ",d", fact("contamination", "touched", item, "documents"))
        rows.append(Row(item, 0, [count, f"{named} and {more:,} more" if more > 0 else named]))
    if len(ordered) > MOST_ROWS:
        rows.append(_others("touched", {item: found.documents for item, found in ordered[MOST_ROWS:]}))
    return Table(["documents", "which"], rows)


def common_table(contamination: Contamination | None) -> Table:
    """Evaluation items of which training documents have common phrases alone, those with the most documents first."""
    common = contamination.common if contamination else {}
    ordered = sorted(common.items(), key=lambda entry: (-entry[1].documents, entry[0]))
    rows = []
    for item, found in ordered[:MOST_ROWS]:
        values = {"documents": found.documents, "ngrams": found.ngrams, "of": found.of}
        cells = [figure(value, ",d", fact("contamination", "common", item, key)) for key, value in values.items()]
        rows.append(Row(item, 0, cells))
    if len(ordered) > MOST_ROWS:
        others = _others("common", {item: found.documents for item, found in ordered[MOST_ROWS:]})
        rows.append(others._replace(cells=[*others.cells, "–"]))
    return Table(["documents", "n-grams that are common", "of all its"], rows)


def _others(key: str, documents: Mapping[str, int]) -> Row:
    """All items that a table of contamination has no room for, as one row."""
    origins = [fact("contamination", key, item, "documents") for item in documents]
    return Row(f"{len(documents):,} other items", 0, [figure(sum(documents.values()), ",d", *origins), "–"])


def year_tables(report: CorpusReport, counts: SplitCounts) -> list[Table]:
    """Tokens by year of the text, or by a longer period where there are many years, and by source."""
    tokens: dict[str, Counter[int]] = {name: Counter() for name in report.sources}
    others: dict[str, Counter[str]] = {SEVERAL: Counter(), UNDATED: Counter()}
    for found in counts.values():
        for name, source in found.items():
            tokens[name].update({year: total.tokens for year, total in source.years.items()})
            others[SEVERAL][name] += source.several.tokens
            others[UNDATED][name] += source.undated.tokens
    years = sorted({year for of_source in tokens.values() for year in of_source})
    period = next((p for p in PERIODS if len({year // p for year in years}) <= MOST_ROWS), PERIODS[-1])
    lines: list[_Line] = []
    for first in sorted({year // period * period for year in years}):
        within = range(first, first + period)
        label = str(first) if period == 1 else f"{first}–{first + period - 1}"
        inside = [["kept", "*", "years", str(year), "tokens"] for year in within if year in years]
        sums = {name: sum(found[year] for year in within) for name, found in tokens.items()}
        lines.append((label, 0, sums, inside))
    for key, label in ((SEVERAL, "of no single year"), (UNDATED, "without a date")):
        if others[key].total():
            sums = {name: others[key][name] for name in tokens}
            lines.append((label, 0, sums, [["kept", "*", "years", key, "tokens"]]))
    total = sum(found.total() for found in tokens.values()) + sum(found.total() for found in others.values())
    return _beside(lines, list(report.sources), total, ["kept", "*", "tokens"])


def precision_tables(report: CorpusReport) -> list[Table]:
    """Documents kept by the precision of their dates, and by what the dates say; nothing for older corpora."""
    kept = sum(source.documents for source in report.sources.values())
    lines: list[_Line] = []
    for precision, meaning in PRECISION_MEANINGS.items():
        found = {name: source.precisions.get(precision, 0) for name, source in report.sources.items()}
        if any(found.values()):
            lines.append((meaning, 0, found, [["precisions", precision]]))
    kinds = {name: source.date_kinds for name, source in report.sources.items()}
    lines += [
        (f"{kind}, as the records say", 0, found, keys) for kind, _, found, keys in _by_reason(kinds, "date_kinds")
    ]
    return _beside(lines, list(report.sources), kept, ["kept", "*", "documents"])


def sample_tables(report: CorpusReport) -> list[tuple[str, Table]]:
    """For each reason, the beginnings of some documents that were dropped for it, from different sources first."""
    by_reason: dict[str, list[list[tuple[str, Sample]]]] = {}
    for name, source in report.sources.items():
        for reason, samples in source.samples.items():
            by_reason.setdefault(reason, []).append([(name, sample) for sample in samples])
    tables = []
    for reason, by_source in sorted(by_reason.items()):
        turns = itertools.chain.from_iterable(itertools.zip_longest(*by_source))
        chosen = [entry for entry in turns if entry is not None][:SAMPLES_SHOWN]
        cells = [[f"{sample.file}:{sample.line}", sample.id, sample.text] for _, sample in chosen]
        columns = ["where", "id", "begins"]
        if any(sample.date for _, sample in chosen):
            columns.append("dated")
            cells = [[*row, sample.date or "–"] for row, (_, sample) in zip(cells, chosen, strict=True)]
        if any(sample.resembles for _, sample in chosen):
            columns.append("repeats")
            cells = [[*row, sample.resembles or "–"] for row, (_, sample) in zip(cells, chosen, strict=True)]
        rows = [Row(name, 0, row) for (name, _), row in zip(chosen, cells, strict=True)]
        tables.append((reason, Table(columns, rows)))
    return tables


def _by_reason(by_source: Mapping[str, Mapping[str, int]], key: str, depth: int = 0) -> Iterator[_Line]:
    """A line for each reason that a source's `key` counts, the most frequent first, and one for all without room."""
    totals: Counter[str] = Counter()
    for found in by_source.values():
        totals.update(found)
    ordered = sorted(filter(totals.get, totals), key=lambda reason: (-totals[reason], reason))
    for reason in ordered[:MOST_ROWS]:
        yield reason, depth, {name: found.get(reason, 0) for name, found in by_source.items()}, [[key, reason]]
    rest = ordered[MOST_ROWS:]
    if rest:
        counts = {name: sum(found.get(reason, 0) for reason in rest) for name, found in by_source.items()}
        yield f"{len(rest):,} others", depth, counts, [[key, reason] for reason in rest]


def _beside(
    lines: Iterable[_Line], sources: Sequence[str], whole: int = 0, whole_keys: Sequence[str] = ()
) -> list[Table]:
    """The lines with their sum, its share of the whole if one is given, and the sources; tables no wider than paper."""
    lines = list(lines)
    tables: list[Table] = []
    for first in range(0, len(sources) if lines else 0, SOURCES_BESIDE):
        names = sources[first : first + SOURCES_BESIDE]
        rows = []
        for label, depth, counts, keys in lines:
            total = sum(counts.values())
            origins = {name: [fact("sources", name, *each) for each in keys] for name in ("*", *names)}
            cells: list[str] = [figure(total, ",d", *origins["*"])]
            if whole:
                cells.append(_share(total, whole, origins["*"], [fact("sources", "*", *whole_keys)]))
            cells += [figure(counts[name], ",d", *origins[name]) if counts[name] else "–" for name in names]
            rows.append(Row(label, depth, cells))
        tables.append(Table(["all"] + ["share"] * bool(whole) + list(names), rows))
    return tables


def _dates(parts: Iterable[KeptDocuments], sources: Sequence[str], split: str) -> list[str]:
    """The first and the last."""
    cells = []
    for key, choose in (("first_date", min), ("last_date", max)):
        parts = list(parts)
        dates = [date for part in parts if (date := getattr(part, key))]
        origins = [fact("sources", name, "kept", split, key) for name in sources]
        cells.append(figure(choose(dates), "text", *origins, how=choose.__name__) if dates else "–")
    return cells


def _share(part: int, whole: int, sources: Sequence[str], per: Sequence[str]) -> str:
    return figure(part / whole, "share", *sources, per=per) if whole else "–"
