"""The page of a tokenizer: how much text a token holds, beside other tokenizers, and what the vocabulary costs."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from evaluation.pages.charts import Bar, Bars, Curve, Curves, Point, Segment
from evaluation.pages.drawing import Plot
from evaluation.pages.figures import Figure, figure, pointer
from evaluation.pages.html import Row, Table, write_page
from evaluation.pages.tokenizer_figures import Figures, SweepPoint, TextFigures, TokenizerReport, read_tokenizer_report
from evaluation.pages.wording import axis_number, text_size

PAGE = "tokenizer.html"
THIS = "this tokenizer"
KINDS = {
    "bpe": "A byte-level BPE",
    "unigram": "A byte-level Unigram",
    "given": "A tokenizer that was given, not trained,",
    "extended": "A given tokenizer with further pieces,",
}
SPLITS = {"past": "text that it was not trained on", "train": "the training text"}
WIDTHS = (1_024, 4_096, 8_192)
CONTEXT = 2_048
MOST_GROUPS = 20  # of bars that a plot has room for

TEXT_FIGURES: dict[str, tuple[Callable[[TextFigures], float], str, str]] = {
    "Bytes per token: more are better.": (lambda text: text.bytes_per_token, "bytes", "tokens"),
    "Tokens per word: fewer are better.": (lambda text: text.tokens_per_word, "tokens", "words"),
}
"""Caption → the figure, and the fields whose ratio it is."""


def write_tokenizer_page(report: Path, folder: Path, name: str) -> Path:
    """Write tokenizer.html into `folder` from a tokenizer's report.json, and return it.

    Raises:
        DataError: the report is missing, or something in it is.
    """
    found = read_tokenizer_report(report)
    beside: dict[str, Figures] = {THIS: found, **found.compared}
    file = os.path.relpath(report, folder)
    return write_page(
        folder / PAGE,
        name,
        {quote(file): "domainlm tokenize CONFIG"},
        {"plots": [*sources_plot(beside, file), *kinds_plot(beside, file), *sweep_plot(found, file)]},
        summary=summary(found),
        key_figures=key_figures(found, file),
        measured=f"{text_size(found.total.bytes)} of {SPLITS[found.split]}",
        text_tables=text_tables(beside, file),
        kinds_table=kinds_table(beside, file),
        cost_table=cost_table(beside, file),
        extension_tables=extension_tables(found, file),
        sweep_table=sweep_table(found, file),
        training=training_table(found, file),
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
    if report.extension:
        text += f", {report.extension.new_pieces:,} of them new"
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


def key_figures(report: TokenizerReport, file: str = "report.json") -> list[tuple[str, str]]:
    """Label and value of what describes the tokenizer in short."""
    (bytes_per_token, tokens_per_word) = (_ratio(report.total, what, file, THIS) for what in TEXT_FIGURES)
    return [
        ("pieces", figure(report.vocabulary_size, ",d", pointer(file, "vocabulary_size"))),
        ("bytes per token", bytes_per_token),
        ("tokens per word", tokens_per_word),
        (f"text in {CONTEXT:,} tokens", _context(report, file, THIS)),
        ("unused pieces", _of_pieces(report, "unused_pieces", file, THIS)),
        ("multi-word pieces", _of_pieces(report, "multi_word_pieces", file, THIS)),
    ]


def text_tables(beside: Mapping[str, Figures], file: str = "report.json") -> list[tuple[str, Table]]:
    """Bytes per token, and tokens per word, of every source and of all together, the tokenizers side by side."""
    tables = []
    for what in TEXT_FIGURES:
        rows = [Row("all", 0, [_ratio(found.total, what, file, name) for name, found in beside.items()])]
        rows += [
            Row(source, 1, [_ratio(found.sources[source], what, file, name, source) for name, found in beside.items()])
            for source in beside[THIS].sources
        ]
        tables.append((what, Table(list(beside), rows)))
    return tables


def kinds_table(beside: Mapping[str, Figures], file: str = "report.json") -> Table:
    """Numbers, acronyms, rare terms: tokens per word, and how many of them are one token, side by side."""
    rows = []
    for kind, own in beside[THIS].word_kinds.items():
        per_word: list[str] = []
        in_one: list[str] = []
        for name, figures in beside.items():
            found = figures.word_kinds.get(kind)
            origin = {key: _field(file, name, "word_kinds", kind, key) for key in ("words", "tokens", "whole")}
            per = [origin["words"]]
            known = found if found is not None and found.words else None
            per_word.append(figure(known.tokens_per_word, ".2f", origin["tokens"], per=per) if known else "–")
            in_one.append(figure(known.whole / known.words, "share", origin["whole"], per=per) if known else "–")
        rows.append(Row(f"{kind} ({own.words:,} in the measured text)", 0, []))
        rows += [Row("tokens per word", 1, per_word), Row("in one token", 1, in_one)]
    return Table(list(beside), rows)


def cost_table(beside: Mapping[str, Figures], file: str = "report.json") -> Table:
    """What the vocabularies cost in parameters, and what they buy in context."""
    columns = ["pieces", *(f"parameters at width {width:,}" for width in WIDTHS), f"text in {CONTEXT:,} tokens"]
    rows = []
    for name, figures in beside.items():
        size, origin = figures.vocabulary_size, _field(file, name, "vocabulary_size")
        cells: list[str] = [figure(size, ",d", origin)]
        cells += [figure(size * width, "words", origin, factor=width) for width in WIDTHS]
        cells += [_context(figures, file, name), _of_pieces(figures, "unused_pieces", file, name)]
        rows.append(Row(name, 0, [*cells, _of_pieces(figures, "multi_word_pieces", file, name)]))
    return Table([*columns, "unused", "of several words"], rows)


def extension_tables(report: TokenizerReport, file: str = "report.json") -> list[tuple[str, Table]]:
    """What new pieces behind a given tokenizer's save, what they cost, and the best of them; none is no tables."""
    if report.extension is None:
        return []
    new = report.extension
    rows = []
    for split, text in new.text.items():
        size, before, after = (pointer(file, "extension", "text", split, key) for key in ("bytes", "before", "after"))
        cells: list[str] = [figure(text.bytes, "text size", size)]
        for tokens, origin in ((text.before, before), (text.after, after)):
            cells.append(figure(tokens, ",d", origin))
            cells.append(figure(tokens / text.bytes, ".4f", origin, per=[size]) if text.bytes else "–")
        cells.append(figure(text.after / text.before, "change", after, per=[before]) if text.before else "–")
        rows.append(Row(SPLITS[split], 0, cells))
    columns = ["text", "tokens before", "a byte", "tokens after", "a byte", "change"]
    origin = pointer(file, "extension", "new_pieces")
    cost: list[str] = [figure(new.new_pieces, ",d", origin)]
    cost.append(figure(new.only_parts, ",d", pointer(file, "extension", "only_parts")))
    cost += [figure(new.new_pieces * width, "words", origin, factor=width) for width in WIDTHS]
    of_cost = ["new pieces", "of them only parts of others", *(f"parameters at width {width:,}" for width in WIDTHS)]
    best = [
        Row(visible(one.piece), 0, [figure(one.saved, ",d", pointer(file, "extension", "best", place, "saved"))])
        for place, one in enumerate(new.best)
    ]
    return [
        ("Tokens before and after the extension, of the same text.", Table(columns, rows)),
        (
            "Parameters of the new rows, tied; with an output head of its own twice as many.",
            Table(of_cost, [Row("", 0, cost)]),
        ),
        ("The new pieces that saved most tokens in the training text when they were learnt.", Table(["tokens"], best)),
    ]


def sweep_table(report: TokenizerReport, file: str = "report.json") -> Table:
    """The sizes that were tried; none is no rows."""
    if not report.sweep:
        return Table([], [])
    best = _smallest(report.sweep)
    rows = []
    for point in sorted(report.sweep, key=lambda point: point.vocabulary_size):
        tokens, size = (pointer(file, "sweep", report.sweep.index(point), key) for key in ("tokens", "bytes"))
        cells: list[str] = [figure(point.tokens, ",d", tokens)]
        cells.append(figure(point.bytes / point.tokens, ".3f", size, per=[tokens]))
        cells.append(figure(point.encoded_bytes, ",.0f", tokens, factor=point.bytes_per_piece))
        if point == best:
            cells.append("smallest")
        else:
            of_best = [pointer(file, "sweep", report.sweep.index(best), "tokens")]
            more, factor = point.encoded_bytes / best.encoded_bytes, point.bytes_per_piece / best.bytes_per_piece
            cells.append(figure(more, "small change", tokens, per=of_best, factor=factor))
        rows.append(Row(f"{point.vocabulary_size:,}", 0, cells))
    return Table(["tokens", "bytes per token", "encoded size in bytes", "above the smallest"], rows)


def training_table(report: TokenizerReport, file: str = "report.json") -> Table:
    """How the tokenizer was made; only what is known of a given one."""
    facts: list[tuple[str, str | None]] = [("kind", report.kind), ("words are cut by", report.pretokenization)]
    facts.append(("digits", report.digits))
    if made := report.training:
        origin = {key: pointer(file, "training", key) for key in type(made).model_fields}
        facts += [
            ("documents", figure(made.documents, ",d", origin["documents"])),
            ("text", figure(made.bytes, "text size", origin["bytes"])),
            ("distinct words", figure(made.distinct_pretokens, ",d", origin["distinct_pretokens"])),
            ("rare words that others stand for", figure(made.cut_pretokens, ",d", origin["cut_pretokens"])),
            ("how often these were met", figure(made.cut_occurrences, ",d", origin["cut_occurrences"])),
        ]
        if made.chunks:
            facts.append(("chunks trained apart and merged", figure(made.chunks, ",d", origin["chunks"])))
        if made.cut_pieces:
            cut = figure(made.cut_pieces, ",d", origin["cut_pieces"])
            facts.append(("least probable pieces that memory had no room for", cut))
    return Table([""], [Row(name, 0, [value]) for name, value in facts if value is not None])


def sources_plot(beside: Mapping[str, Figures], file: str = "report.json") -> list[Plot]:
    """Bytes per token of each source, a bar for each tokenizer."""
    what = next(iter(TEXT_FIGURES))
    groups = {
        source: [
            _bar(name, found.sources[source].bytes_per_token, _ratio(found.sources[source], what, file, name, source))
            for name, found in beside.items()
        ]
        for source, text in beside[THIS].sources.items()
        if text.tokens
    }
    return _grouped("tokenizer_sources", "Bytes per token: more are better", groups)


def kinds_plot(beside: Mapping[str, Figures], file: str = "report.json") -> list[Plot]:
    """Tokens per word of each kind, a bar for each tokenizer."""
    groups: dict[str, list[Bar]] = {}
    for kind, own in beside[THIS].word_kinds.items():
        for name, figures in beside.items():
            found = figures.word_kinds.get(kind)
            if own.words and found is not None and found.words:
                tokens, words = (_field(file, name, "word_kinds", kind, key) for key in ("tokens", "words"))
                said = figure(found.tokens_per_word, ".2f", tokens, per=[words])
                groups.setdefault(kind, []).append(_bar(name, found.tokens_per_word, said))
    return _grouped("tokenizer_kinds", "Tokens per word: fewer are better", groups)


def sweep_plot(report: TokenizerReport, file: str = "report.json") -> list[Plot]:
    """Encoded size over vocabulary size; nothing unless two sizes were tried."""
    if len(report.sweep) < 2:
        return []
    points: dict[int, Point] = {}
    for place, tried in enumerate(report.sweep):
        tokens, size = (pointer(file, "sweep", place, key) for key in ("tokens", "bytes"))
        share = tried.encoded_bytes / tried.bytes
        said = figure(share, ".4f", tokens, per=[size], factor=tried.bytes_per_piece)
        points[tried.vocabulary_size] = Point(tried.vocabulary_size, share, f"{tried.vocabulary_size:,} pieces", said)
    ordered = [points[size] for size in sorted(points)]
    best = min(ordered, key=lambda point: point.y)
    curves = [
        Curve("encoded size", [point.x for point in ordered], [point.y for point in ordered], ordered),
        Curve("the smallest", [best.x], [best.y], [best], colour=1),
    ]
    ticks = {float(size): axis_number(size) for size in sorted(points)}
    mark = (float(report.vocabulary_size), "this tokenizer")
    caption = "Encoded size, as a share of the text's, over the size of the vocabulary"
    return [Plot("tokenizer_sweep", caption, Curves(curves, "vocabulary size", ticks=ticks, mark=mark), wide=True)]


def _bar(name: str, length: float, said: str) -> Bar:
    assert isinstance(said, Figure)
    return Bar(name, [Segment(name, length, said)], [said], strong=name == THIS)


def _grouped(name: str, caption: str, groups: Mapping[str, Sequence[Bar]]) -> list[Plot]:
    """Bars in groups, the first tokenizer's in the colour; one of its own for each group where there is no other."""
    if not groups:
        return []
    shown: Mapping[str, Sequence[Bar]] = dict(list(groups.items())[:MOST_GROUPS])
    if all(len(bars) == 1 for bars in shown.values()):
        shown = {"": [bar._replace(label=label, strong=False) for label, (bar,) in shown.items()]}
    return [Plot(name, caption, Bars(shown, {THIS: 0}))]


def _field(file: str, name: str, *steps: str) -> str:
    """Where this tokenizer's report has something about one of the tokenizers."""
    return pointer(file, *(() if name == THIS else ("compared", name)), *steps)


def _ratio(text: TextFigures, what: str, file: str, name: str, source: str = "*") -> str:
    """One of TEXT_FIGURES; "*" is all sources."""
    value, above, below = TEXT_FIGURES[what]
    if math.isnan(value(text)):
        return "–"
    origin, per = (_field(file, name, "sources", source, key) for key in (above, below))
    return figure(value(text), ".2f", origin, per=[per])


def _context(figures: Figures, file: str, name: str) -> str:
    if not figures.total.tokens:
        return "–"
    size, tokens = (_field(file, name, "sources", "*", key) for key in ("bytes", "tokens"))
    return figure(figures.total.bytes_per_token * CONTEXT, "text size", size, per=[tokens], factor=CONTEXT)


def _of_pieces(figures: Figures, key: str, file: str, name: str) -> str:
    """A count of pieces, as a share of all."""
    part = getattr(figures, key) / figures.vocabulary_size
    return figure(part, "share", _field(file, name, key), per=[_field(file, name, "vocabulary_size")])


def _smallest(sweep: Sequence[SweepPoint]) -> SweepPoint:
    return min(sweep, key=lambda point: point.encoded_bytes)


def _decimals(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"
