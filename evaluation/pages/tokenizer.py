"""The page of a tokenizer: how much text a token holds, beside other tokenizers, and what the vocabulary costs."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from evaluation.pages.drawing import (
    BLUE,
    COLOURS,
    GREY,
    INK,
    NARROW,
    WIDE,
    Plot,
    legend_below,
    png,
    single_figure,
    without_axis,
)
from evaluation.pages.html import Row, Table, write_page
from evaluation.pages.tokenizer_figures import Figures, SweepPoint, TextFigures, TokenizerReport, read_tokenizer_report
from evaluation.pages.wording import axis_number, number_in_words, share, text_size

PAGE = "tokenizer.html"
THIS = "this tokenizer"
KINDS = {
    "bpe": "A byte-level BPE",
    "unigram": "A byte-level Unigram",
    "given": "A tokenizer that was given, not trained,",
}
SPLITS = {"past": "text that it was not trained on", "train": "the training text"}
WIDTHS = (1_024, 4_096, 8_192)
CONTEXT = 2_048
GREYS = (GREY, "#8A94A0", "#D5DAE0", "#616E7C")
MOST_SOURCES = 20  # that a plot has room for

TEXT_FIGURES: dict[str, Callable[[TextFigures], float]] = {
    "Bytes per token: more are better.": lambda text: text.bytes_per_token,
    "Tokens per word: fewer are better.": lambda text: text.tokens_per_word,
}


def write_tokenizer_page(report: Path, folder: Path, name: str) -> Path:
    """Write tokenizer.html into `folder` from a tokenizer's report.json, and return it.

    Raises:
        DataError: the report is missing, or something in it is.
    """
    found = read_tokenizer_report(report)
    beside: dict[str, Figures] = {THIS: found, **found.compared}
    return write_page(
        folder / PAGE,
        name,
        {"plots": [*sources_plot(beside), *kinds_plot(beside), *sweep_plot(found)]},
        summary=summary(found),
        key_figures=key_figures(found),
        measured=f"{text_size(found.total.bytes)} of {SPLITS[found.split]}",
        text_tables=text_tables(beside),
        kinds_table=kinds_table(beside),
        cost_table=cost_table(beside),
        sweep_table=sweep_table(found),
        training=training_table(found),
        samples={
            "The longest pieces": [visible(piece) for piece in found.samples.longest],
            "Pieces of several words": [visible(piece) for piece in found.samples.multi_word],
            "Pieces that the measured text does not use": [visible(piece) for piece in found.samples.unused],
        },
    )


def visible(piece: str) -> str:
    """The piece with a sign for each space, line break and tab, and the number of other characters without a shape."""
    signs = {" ": "␣", "\n": "⏎", "\t": "⇥"}
    return "".join(signs.get(char, char if char.isprintable() else f"<{ord(char):X}>") for char in piece)


def summary(report: TokenizerReport) -> str:
    """What the tokenizer is and does, and how the best of the others does on the same text."""
    total = report.total
    text = f"{KINDS[report.kind]} of {report.vocabulary_size:,} pieces"
    if not total.tokens:
        return f"{text}. It was measured on no text."
    text += (
        f". On {SPLITS[report.split]} a token holds {total.bytes_per_token:.2f} bytes, and a word takes "
        f"{_decimals(total.tokens_per_word)} tokens"
    )
    if not report.compared:
        return f"{text}."
    name, best = min(report.compared.items(), key=lambda entry: entry[1].total.tokens)
    difference = total.tokens / best.total.tokens - 1
    among = f", the best of {len(report.compared)} beside it" if len(report.compared) > 1 else ""
    compared = (
        f"{abs(difference):.1%} {'fewer' if difference < 0 else 'more'} tokens than" if difference else "as many as"
    )
    return f"{text}: {compared} with {name} ({best.vocabulary_size:,} pieces){among}."


def key_figures(report: TokenizerReport) -> list[tuple[str, str]]:
    """Label and value of what describes the tokenizer in short."""
    total = report.total
    return [
        ("pieces", f"{report.vocabulary_size:,}"),
        ("bytes per token", _decimals(total.bytes_per_token)),
        ("tokens per word", _decimals(total.tokens_per_word)),
        (f"text in {CONTEXT:,} tokens", _context(report)),
        ("unused pieces", share(report.unused_pieces, report.vocabulary_size)),
        ("multi-word pieces", share(report.multi_word_pieces, report.vocabulary_size)),
    ]


def text_tables(beside: Mapping[str, Figures]) -> list[tuple[str, Table]]:
    """Bytes per token, and tokens per word, of every source and of all together, the tokenizers side by side."""
    tables = []
    for caption, figure in TEXT_FIGURES.items():
        rows = [Row("all", 0, [_decimals(figure(found.total)) for found in beside.values()])]
        rows += [
            Row(source, 1, [_decimals(figure(found.sources[source])) for found in beside.values()])
            for source in beside[THIS].sources
        ]
        tables.append((caption, Table(list(beside), rows)))
    return tables


def kinds_table(beside: Mapping[str, Figures]) -> Table:
    """Numbers, acronyms, rare terms: tokens per word, and how many of them are one token, side by side."""
    rows = []
    for kind, own in beside[THIS].word_kinds.items():
        found = [figures.word_kinds.get(kind) for figures in beside.values()]
        rows.append(Row(f"{kind} ({own.words:,} in the measured text)", 0, []))
        rows.append(Row("tokens per word", 1, [_decimals(one.tokens_per_word) if one else "–" for one in found]))
        rows.append(Row("in one token", 1, [share(one.whole, one.words) if one else "–" for one in found]))
    return Table(list(beside), rows)


def cost_table(beside: Mapping[str, Figures]) -> Table:
    """What the vocabularies cost in parameters, and what they buy in context."""
    columns = ["pieces", *(f"parameters at width {width:,}" for width in WIDTHS), f"text in {CONTEXT:,} tokens"]
    rows = []
    for name, figures in beside.items():
        size = figures.vocabulary_size
        cells = [f"{size:,}", *(number_in_words(size * width) for width in WIDTHS), _context(figures)]
        cells += [share(figures.unused_pieces, size), share(figures.multi_word_pieces, size)]
        rows.append(Row(name, 0, cells))
    return Table([*columns, "unused", "of several words"], rows)


def sweep_table(report: TokenizerReport) -> Table:
    """The sizes that were tried; none is no rows."""
    best = _smallest(report.sweep)
    rows = []
    for point in sorted(report.sweep, key=lambda point: point.vocabulary_size):
        cells = [f"{point.tokens:,}", f"{point.bytes / point.tokens:.3f}", f"{point.encoded_bytes:,.0f}"]
        more = f"{point.encoded_bytes / best.encoded_bytes - 1:+.2%}" if best and point != best else "smallest"
        rows.append(Row(f"{point.vocabulary_size:,}", 0, [*cells, more]))
    return Table(["tokens", "bytes per token", "encoded size in bytes", "above the smallest"], rows)


def training_table(report: TokenizerReport) -> Table:
    """How the tokenizer was made; only what is known of a given one."""
    facts = [("kind", report.kind), ("words are cut by", report.pretokenization), ("digits", report.digits)]
    if made := report.training:
        facts += [
            ("documents", f"{made.documents:,}"),
            ("text", text_size(made.bytes)),
            ("distinct words", f"{made.distinct_pretokens:,}"),
            ("rare words that others stand for", f"{made.cut_pretokens:,}, met {made.cut_occurrences:,} times"),
            ("chunks trained apart and merged", f"{made.chunks:,}" if made.chunks else None),
            ("least probable pieces that memory had no room for", f"{made.cut_pieces:,}" if made.cut_pieces else None),
        ]
    return Table([""], [Row(name, 0, [value]) for name, value in facts if value is not None])


def sources_plot(beside: Mapping[str, Figures]) -> list[Plot]:
    """Bytes per token of each source, a bar for each tokenizer."""
    sources = [source for source, text in beside[THIS].sources.items() if text.tokens][:MOST_SOURCES]
    values = {name: [found.sources[source].bytes_per_token for source in sources] for name, found in beside.items()}
    return _grouped("tokenizer_sources", "Bytes per token: more are better", sources, values)


def kinds_plot(beside: Mapping[str, Figures]) -> list[Plot]:
    """Tokens per word of each kind, a bar for each tokenizer."""
    kinds = [kind for kind, own in beside[THIS].word_kinds.items() if own.words]
    values = {
        name: [found.word_kinds[kind].tokens_per_word if kind in found.word_kinds else 0.0 for kind in kinds]
        for name, found in beside.items()
    }
    return _grouped("tokenizer_kinds", "Tokens per word: fewer are better", kinds, values)


def sweep_plot(report: TokenizerReport) -> list[Plot]:
    """Encoded size over vocabulary size; nothing unless two sizes were tried."""
    best = _smallest(report.sweep)
    if best is None or len(report.sweep) < 2:
        return []
    from matplotlib.ticker import FixedLocator, NullLocator

    points = sorted(report.sweep, key=lambda point: point.vocabulary_size)
    sizes = [point.vocabulary_size for point in points]
    figure, axes = single_figure(WIDE, 3.4)
    axes.plot(sizes, [point.encoded_bytes / point.bytes for point in points], color=BLUE, marker="o")
    axes.plot([best.vocabulary_size], [best.encoded_bytes / best.bytes], color=COLOURS[1], marker="o", markersize=9)
    axes.axvline(report.vocabulary_size, color=INK, linestyle="--", linewidth=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: axis_number(value))
    axes.set_xlabel("vocabulary size; the dashed line is this tokenizer's, the large point the smallest encoded size")
    caption = "Encoded size, as a share of the text's, over the size of the vocabulary"
    return [Plot("tokenizer_sweep", caption, png(figure), wide=True)]


def _grouped(name: str, caption: str, rows: Sequence[str], values: Mapping[str, Sequence[float]]) -> list[Plot]:
    """Lying bars in groups, the first row on top and in it the first tokenizer, whose bars are the coloured ones."""
    if not rows:
        return []
    thickness = 0.8 / len(values)
    figure, axes = single_figure(NARROW, 0.9 + len(rows) * (0.2 + 0.2 * len(values)))
    shades = [BLUE, *(GREYS[place % len(GREYS)] for place in range(len(values) - 1))]
    for place, ((label, widths), shade) in enumerate(zip(values.items(), shades, strict=True)):
        heights = [row - 0.4 + (place + 0.5) * thickness for row in range(len(rows))]
        bars = axes.barh(heights, widths, thickness * 0.88, color=shade, label=label)
        axes.bar_label(bars, [f"{width:.2f}" for width in widths], padding=3, fontsize=8, color=INK)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.margins(x=0.1)
    without_axis(axes)
    legend_below(axes)
    return [Plot(name, caption, png(figure))]


def _smallest(sweep: Sequence[SweepPoint]) -> SweepPoint | None:
    return min(sweep, key=lambda point: point.encoded_bytes, default=None)


def _context(figures: Figures) -> str:
    return text_size(round(figures.total.bytes_per_token * CONTEXT)) if figures.total.tokens else "–"


def _decimals(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"
