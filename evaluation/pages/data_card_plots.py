"""The plots of a data card: when the text is from, what became of the records, where the tokens are."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from evaluation.pages.charts import Bar, Bars, Columns, Segment
from evaluation.pages.corpus_report import CorpusReport
from evaluation.pages.data_card_tables import OF_HELD_OUT, fact
from evaluation.pages.document_counts import Counts, DocumentCounts, SplitCounts, totals_by_source
from evaluation.pages.drawing import Plot
from evaluation.pages.figures import Figure, figure
from evaluation.pages.wording import share

MOST_COLOURS = 6
MOST_BARS = 20
MOST_YEARS = 300
SPLIT_COLOURS = {"train": 0, "past": 5, "future": 4}
KEPT = "kept"

Series = dict[str, dict[int, tuple[int, list[str]]]]
"""What is stacked, from the bottom: name → place → tokens, and the fields that they are the sum of."""


def data_plots(report: CorpusReport, counts: SplitCounts) -> list[Plot]:
    """Those that there are figures for."""
    return [*years_plot(report, counts), fates_plot(report), *tokens_plot(counts), *lengths_plot(counts)]


def years_plot(report: CorpusReport, counts: SplitCounts) -> list[Plot]:
    """Tokens by year and source, with the cutoff; nothing when no document has a date."""
    undated = sum(found.undated.tokens for sources in counts.values() for found in sources.values())
    several = sum(found.several.tokens for found in _all(counts))
    years = [year for found in _all(counts) for year in found.years]
    if not years:
        return []
    width = -(-(max(years) - min(years) + 1) // MOST_YEARS)
    series = _tokens_by(
        counts,
        "years",
        lambda found: {(year, year // width * width): total for year, total in found.years.items()},
    )
    mark = None
    if report.cutoff is not None:
        mark = (report.cutoff.year + (report.cutoff.timetuple().tm_yday - 1) / 366, f"cutoff {report.cutoff}")
    names = {year: str(year) if width == 1 else f"{year}–{year + width - 1}" for year in _places(series)}
    chart = Columns(_figures(series), names, width, mark=mark)
    caption = "Tokens by the year of their text"
    whole = sum(found.total.tokens for found in _all(counts))
    if several:
        caption += f"; {share(several, whole)} of all tokens are of no single year"
    if undated:
        caption += f"; {share(undated, whole)} of all tokens have no date"
    return [Plot("data_years", caption, chart, wide=True)]


def fates_plot(report: CorpusReport) -> Plot:
    """For each source, the shares of its records that were kept, or dropped for one reason or another."""
    records = {name: source.read for name, source in report.sources.items()}
    rows = _labels(sorted(records, key=lambda name: (-records[name], name)), MOST_BARS)
    fates: dict[str, Counter[str]] = {row: Counter() for row in rows.values()}
    origins: dict[tuple[str, str], list[str]] = {}
    for name, source in report.sources.items():
        found = [(KEPT, fact("sources", name, "kept", "*", "documents"), source.documents)]
        found += [("quarantined", fact("sources", name, "quarantined", "*"), sum(source.quarantined.values()))]
        found += [(_family(why), fact("sources", name, "dropped", why), n) for why, n in source.dropped.items()]
        for fate, origin, count in found:
            fates[rows[name]][fate] += count
            origins.setdefault((rows[name], fate), []).append(origin)
    totals: Counter[str] = sum(fates.values(), Counter())
    losses = sorted((reason for reason in totals if reason != KEPT), key=lambda reason: (-totals[reason], reason))
    names = {KEPT: KEPT} | _labels(losses, MOST_COLOURS - 1, "other reasons")
    read = {row: [fact("sources", name, "read") for name, own in rows.items() if own == row] for row in fates}
    bars = []
    for row, found_here in fates.items():
        segments = []
        for label in dict.fromkeys(names.values()):
            reasons = [reason for reason, own in names.items() if own == label and found_here[reason]]
            part = sum(found_here[reason] for reason in reasons) / max(found_here.total(), 1)
            of = [origin for reason in reasons for origin in origins[row, reason]]
            if part:
                segments.append(Segment(label, part, figure(part, "share", *of, per=read[row])))
        bars.append(Bar(row, segments))
    legend = {label: place for place, label in enumerate(dict.fromkeys(names.values()))}
    return Plot("data_fates", "What became of the records that were read", Bars({"": bars}, legend))


def tokens_plot(counts: SplitCounts) -> list[Plot]:
    """Tokens of each source by split."""
    totals = totals_by_source(counts)
    if not totals:
        return []
    rows = _labels(list(totals), MOST_BARS)
    every = [fact("totals", "tokens")]
    whole = sum(total.tokens for total in totals.values())
    bars = []
    for row in dict.fromkeys(rows.values()):
        inside = [name for name, own in rows.items() if own == row]
        segments = []
        for split in SPLIT_COLOURS:
            found = [name for name in inside if name in counts.get(split, {})]
            tokens = sum(counts[split][name].total.tokens for name in found)
            if tokens:
                of = [fact("sources", name, "kept", split, "tokens") for name in found]
                segments.append(Segment(split, tokens, figure(tokens, ",d", *of)))
        tokens = sum(totals[name].tokens for name in inside)
        of = [fact("sources", name, "kept", "*", "tokens") for name in inside]
        bars.append(Bar(row, segments, [figure(tokens, "short", *of), figure(tokens / whole, "share", *of, per=every)]))
    legend = {split: colour for split, colour in SPLIT_COLOURS.items() if split in counts}
    return [Plot("data_tokens", "Tokens by source and split", Bars({"": bars}, legend))]


def lengths_plot(counts: SplitCounts) -> list[Plot]:
    """In documents of what length the tokens are, by source."""
    series = _tokens_by(counts, "lengths", lambda found: {(n, n): total for n, total in found.lengths.items()})
    lengths = _places(series)
    if not lengths:
        return []
    borders = {place: f"{2**place:,}" if place < 20 else f"2^{place}" for place in range(lengths[0], lengths[-1] + 2)}
    names = {place: f"{borders[place]} to {borders[place + 1]}" for place in lengths}
    ticks = {float(place): label for place, label in borders.items()}
    chart = Columns(_figures(series), names, ticks=ticks, x_label="tokens of a document")
    return [Plot("data_lengths", "Tokens by the length of their document", chart, wide=True)]


def _tokens_by(
    counts: SplitCounts, key: str, groups: Callable[[DocumentCounts], Mapping[tuple[int, int], Counts]]
) -> Series:
    """Tokens of all splits, for each source that has a colour of its own, and the rest.

    Args:
        key: of a source's split in data_card.json, what has the tokens.
        groups: what is counted there, by its own key and the place where it is shown.
    """
    labels = _labels(list(totals_by_source(counts)))
    series: Series = {label: {} for label in labels.values()}
    for split, sources in counts.items():
        for name, found in sources.items():
            for (own, place), total in groups(found).items():
                tokens, origins = series[labels[name]].get(place, (0, []))
                origin = fact("sources", name, "kept", split, key, own, "tokens")
                series[labels[name]][place] = tokens + total.tokens, [*origins, origin]
    return series


def _figures(series: Series) -> dict[str, dict[int, tuple[float, Figure]]]:
    return {
        name: {place: (tokens, figure(tokens, ",d", *origins)) for place, (tokens, origins) in heights.items()}
        for name, heights in series.items()
    }


def _places(series: Series) -> list[int]:
    return sorted({place for heights in series.values() for place in heights})


def _all(counts: SplitCounts) -> list[DocumentCounts]:
    return [found for sources in counts.values() for found in sources.values()]


def _family(reason: str) -> str:
    """Reasons that are one in a plot: the rules of a filter, the languages, and duplicates of either side."""
    return reason.partition(":")[0].removesuffix(OF_HELD_OUT)


def _labels(names: Sequence[str], most: int = MOST_COLOURS, rest: str = "other sources") -> dict[str, str]:
    """Each name as itself, but those behind the first so many as one."""
    if len(names) <= most:
        return {name: name for name in names}
    return {name: name if place < most - 1 else f"{len(names) - most + 1} {rest}" for place, name in enumerate(names)}
