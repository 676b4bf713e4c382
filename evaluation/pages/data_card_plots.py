"""The plots of a data card: when the text is from, what became of the records, where the tokens are."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from evaluation.pages.corpus_report import CorpusReport
from evaluation.pages.data_card_tables import OF_HELD_OUT
from evaluation.pages.document_counts import Counts, DocumentCounts, SplitCounts, totals_by_source
from evaluation.pages.drawing import (
    COLOURS,
    INK,
    NARROW,
    WIDE,
    Plot,
    legend_below,
    plain_numbers,
    png,
    single_figure,
    without_axis,
)
from evaluation.pages.wording import axis_number, share, short_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_COLOURS = 6
LEAST_BARS, MOST_BARS = 3, 20
MOST_YEARS = 300
SPLIT_COLOURS = {"train": COLOURS[0], "past": COLOURS[5], "future": COLOURS[4]}
KEPT = "kept"

Series = dict[str, Counter[int]]
"""What is stacked, from the bottom: name → height at each place."""


def data_plots(report: CorpusReport, counts: SplitCounts) -> list[Plot]:
    """Those that there are figures for."""
    return [*years_plot(report, counts), fates_plot(report), *tokens_plot(counts), *lengths_plot(counts)]


def years_plot(report: CorpusReport, counts: SplitCounts) -> list[Plot]:
    """Tokens by year and source, with the cutoff; nothing when no document has a date."""
    series = _tokens_by(counts, lambda found: {year: total for year, total in found.years.items() if year is not None})
    undated = sum(found.undated.tokens for sources in counts.values() for found in sources.values())
    dated = sum(heights.total() for heights in series.values())
    if not dated:
        return []
    years = [year for heights in series.values() for year in heights]
    width = -(-(max(years) - min(years) + 1) // MOST_YEARS)
    series = {name: _in_steps(heights, width) for name, heights in series.items()}
    figure, axes = single_figure(WIDE, 3.8)
    _stack(axes, series, width * 0.86, width / 2)
    if report.cutoff is not None:
        place = report.cutoff.year + (report.cutoff.timetuple().tm_yday - 1) / 366
        axes.axvline(place, color=INK, linestyle="--", linewidth=1)
        label = axes.annotate(f"cutoff {report.cutoff} ", (place, 0.98), xycoords=("data", "axes fraction"))
        label.set(ha="right", va="top", fontsize=9, color=INK)
    plain_numbers(axes)
    caption = "Tokens by the year of their text"
    if undated:
        caption += f"; {share(undated, dated + undated)} of all tokens have no date"
    return [Plot("data_years", caption, png(figure), wide=True)]


def fates_plot(report: CorpusReport) -> Plot:
    """For each source, the shares of its records that were kept, or dropped for one reason or another."""
    records = {name: source.read for name, source in report.sources.items()}
    rows = _labels(sorted(records, key=lambda name: (-records[name], name)), MOST_BARS)
    fates: dict[str, Counter[str]] = {row: Counter() for row in rows.values()}
    for name, source in report.sources.items():
        found = fates[rows[name]]
        found[KEPT] += source.documents
        found["quarantined"] += sum(source.quarantined.values())
        for reason, count in source.dropped.items():
            found[_family(reason)] += count
    totals: Counter[str] = sum(fates.values(), Counter())
    losses = sorted((reason for reason in totals if reason != KEPT), key=lambda reason: (-totals[reason], reason))
    names = {KEPT: KEPT} | _labels(losses, MOST_COLOURS - 1, "other reasons")
    bars = {
        label: [
            sum(found[reason] for reason in names if names[reason] == label) / max(found.total(), 1)
            for found in fates.values()
        ]
        for label in dict.fromkeys(names.values())
    }
    figure = _bars(list(fates), bars, _colours(list(bars)))
    return Plot("data_fates", "What became of the records that were read", figure)


def tokens_plot(counts: SplitCounts) -> list[Plot]:
    """Tokens of each source by split."""
    totals = totals_by_source(counts)
    if not totals:
        return []
    rows = _labels(list(totals), MOST_BARS)
    places = list(dict.fromkeys(rows.values()))
    bars = {
        split: [
            sum(found.total.tokens for name, found in counts[split].items() if rows[name] == place) for place in places
        ]
        for split in SPLIT_COLOURS
        if split in counts
    }
    whole = sum(total.tokens for total in totals.values())
    sums = [sum(column) for column in zip(*bars.values(), strict=True)]
    ends = [f" {short_number(total)} ({share(total, whole)})" for total in sums]
    return [Plot("data_tokens", "Tokens by source and split", _bars(places, bars, SPLIT_COLOURS, ends))]


def lengths_plot(counts: SplitCounts) -> list[Plot]:
    """In documents of what length the tokens are, by source."""
    series = _tokens_by(counts, lambda found: found.lengths)
    lengths = sorted({length for heights in series.values() for length in heights})
    if not lengths:
        return []
    figure, axes = single_figure(WIDE, 3.4)
    _stack(axes, series, 0.86, 0.5)
    places = range(lengths[0], lengths[-1] + 2)  # the borders between bars
    axes.set_xticks(list(places), [f"{2**place:,}" if place < 20 else f"2^{place}" for place in places])
    axes.set_xlabel("tokens of a document")
    return [Plot("data_lengths", "Tokens by the length of their document", png(figure), wide=True)]


def _tokens_by(counts: SplitCounts, groups: Callable[[DocumentCounts], Mapping[int, Counts]]) -> Series:
    """Tokens of all splits by what `groups` goes by, for each source that has a colour of its own, and the rest."""
    labels = _labels(list(totals_by_source(counts)))
    series: Series = {label: Counter() for label in labels.values()}
    for sources in counts.values():
        for name, found in sources.items():
            for place, total in groups(found).items():
                series[labels[name]][place] += total.tokens
    return series


def _family(reason: str) -> str:
    """Reasons that are one in a plot: the rules of a filter, the languages, and duplicates of either side."""
    return reason.partition(":")[0].removesuffix(OF_HELD_OUT)


def _labels(names: Sequence[str], most: int = MOST_COLOURS, rest: str = "other sources") -> dict[str, str]:
    """Each name as itself, but those behind the first so many as one."""
    if len(names) <= most:
        return {name: name for name in names}
    return {name: name if place < most - 1 else f"{len(names) - most + 1} {rest}" for place, name in enumerate(names)}


def _colours(labels: Sequence[str]) -> dict[str, str]:
    return dict(zip(labels, COLOURS, strict=False))


def _in_steps(heights: Counter[int], width: int) -> Counter[int]:
    sums: Counter[int] = Counter()
    for place, height in heights.items():
        sums[place // width * width] += height
    return sums


def _stack(axes: "Axes", series: Series, width: float, offset: float) -> None:
    """Upright bars on one another, centred `offset` behind their places."""
    base: Counter[int] = Counter()
    for (name, heights), colour in zip(series.items(), COLOURS, strict=False):
        places = sorted(heights)
        lower = [base[place] for place in places]
        if places:  # the others keep their colours in all plots
            upper = [heights[place] for place in places]
            axes.bar([place + offset for place in places], upper, width, lower, color=colour, label=name)
        base.update(heights)
    axes.yaxis.set_major_formatter(lambda value, _: axis_number(value))
    axes.margins(y=0.12)  # room for what is written above
    legend_below(axes, MOST_COLOURS)


def _bars(
    rows: Sequence[str], bars: Mapping[str, Sequence[float]], colours: Mapping[str, str], ends: Sequence[str] = ()
) -> bytes:
    """Lying bars, the first row on top: shares of one unless `ends`, what each bar's end is labelled, are given."""
    figure, axes = single_figure(NARROW, 1.2 + 0.34 * max(len(rows), LEAST_BARS))
    left = [0.0] * len(rows)
    places = range(len(rows))
    for name, widths in bars.items():
        axes.barh(places, widths, left=left, color=colours[name], label=name, height=0.68)
        left = [begin + width for begin, width in zip(left, widths, strict=True)]
    axes.set_yticks(list(places), rows)
    axes.set_ylim(max(len(rows), LEAST_BARS) - 0.4, -0.6)
    if ends:
        for place, (end, text) in enumerate(zip(left, ends, strict=True)):
            axes.text(end, place, text, va="center", fontsize=9, color=INK)
        axes.set_xlim(0, max(left) * 1.35)
        without_axis(axes)
    else:
        axes.grid(visible=False)
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter("{x:.0%}")
    legend_below(axes)
    return png(figure)
