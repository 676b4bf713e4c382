"""The tokenizer's page: figures beside other tokenizers' on the same text, better or worse, and data escaped."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluation.pages.html import Row
from evaluation.pages.tokenizer import (
    THIS,
    cost_table,
    extension_tables,
    key_figures,
    kinds_plot,
    kinds_table,
    sources_plot,
    summary,
    sweep_plot,
    sweep_table,
    text_tables,
    training_table,
    visible,
    write_tokenizer_page,
)
from evaluation.pages.tokenizer_figures import (
    BestPiece,
    Extension,
    Figures,
    PieceSamples,
    Saved,
    SweepPoint,
    TextFigures,
    TokenizerReport,
    Training,
    WordFigures,
)
from evaluation.pages.wording import text_size
from tests.traced import trace

NEWS, WEB = "news", "<b>web</b>"
POINTS = [
    SweepPoint(vocabulary_size=size, bytes=1000, tokens=tokens)
    for size, tokens in ((4096, 240), (1024, 300), (65_536, 170))
]


def make_figures(vocabulary_size: int, tokens: int, web: int = 90) -> Figures:
    sources = {
        NEWS: TextFigures(bytes=600, words=100, tokens=tokens),
        WEB: TextFigures(bytes=400, words=60, tokens=web),
    }
    kinds = {"numbers": WordFigures(words=10, tokens=25, whole=3), "acronyms": WordFigures(words=0, tokens=0, whole=0)}
    return Figures(
        vocabulary_size=vocabulary_size, sources=sources, word_kinds=kinds, unused_pieces=41, multi_word_pieces=0
    )  # fmt: skip


def make_report(tokens: int = 150, **fields: Any) -> TokenizerReport:
    content: dict[str, Any] = {name: getattr(make_figures(4096, tokens), name) for name in Figures.model_fields}
    content |= {"kind": "unigram", "pretokenization": "bloomberggpt", "digits": "single", "split": "past"}
    content |= {"training": None, "compared": {}, "sweep": []}
    content |= {"samples": PieceSamples(longest=[], multi_word=[], unused=[])}
    return TokenizerReport(**content | fields)


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({}, "a word takes 1.50 tokens."),
        ({"gpt2": 210}, ": 20.0% fewer tokens than with gpt2 (50,257 pieces)."),
        ({"gpt2": 210, "llama": 102}, ": 25.0% more tokens than with llama (50,257 pieces), the best of 2 beside it."),
        ({"gpt2": 150}, ": as many as with gpt2 (50,257 pieces)."),
    ],
)
def test_the_sentence_says_who_needs_fewer_tokens(others: dict[str, int], said: str) -> None:
    report = make_report(compared={name: make_figures(50_257, tokens) for name, tokens in others.items()})
    assert summary(report).startswith(
        "A byte-level Unigram of 4,096 pieces. On text that it was not trained on a token holds 4.17 bytes, and a word "
        "takes 1.50 tokens"
    )
    assert summary(report).endswith(said)


def test_key_figures() -> None:
    assert key_figures(make_report()) == [
        ("pieces", "4,096"),
        ("bytes per token", "4.17"),
        ("tokens per word", "1.50"),
        ("text in 2,048 tokens", "8.53 kB"),
        ("unused pieces", "1.0%"),
        ("multi-word pieces", "0.0%"),
    ]


def test_tables_stand_side_by_side() -> None:
    beside = {THIS: make_report(), "gpt2": make_figures(50_257, 210)}
    (_, lengths), (_, words) = text_tables(beside)
    assert lengths.columns == [THIS, "gpt2"]
    assert lengths.rows == [
        Row("all", 0, ["4.17", "3.33"]),
        Row(NEWS, 1, ["4.00", "2.86"]),
        Row(WEB, 1, ["4.44", "4.44"]),
    ]
    assert words.rows[0] == Row("all", 0, ["1.50", "1.88"])
    assert kinds_table(beside).rows == [
        Row("numbers (10 in the measured text)", 0, []),
        Row("tokens per word", 1, ["2.50", "2.50"]),
        Row("in one token", 1, ["30.0%", "30.0%"]),
        Row("acronyms (0 in the measured text)", 0, []),
        Row("tokens per word", 1, ["–", "–"]),
        Row("in one token", 1, ["–", "–"]),
    ]
    assert cost_table(beside).rows[1].cells == [
        "50,257",
        "51.5 million",
        "206 million",
        "412 million",
        "6.83 kB",
        "<0.1%" if 41 / 50_257 < 0.0005 else "0.1%",
        "0.0%",
    ]


def test_the_sweep_marks_the_smallest_encoded_size() -> None:
    table = sweep_table(make_report(sweep=POINTS))
    sizes = [300 * 10 / 8, 240 * 12 / 8, 170 * 16 / 8]
    assert [row.label for row in table.rows] == ["1,024", "4,096", "65,536"]
    assert [row.cells[2] for row in table.rows] == [f"{size:,.0f}" for size in sizes]
    assert [row.cells[3] for row in table.rows] == [
        f"{sizes[0] / 340 - 1:+.2%}",
        f"{sizes[1] / 340 - 1:+.2%}",
        "smallest",
    ]
    assert sweep_table(make_report()).rows == []


EXTENSION = Extension(
    new_pieces=1000,
    only_parts=12,
    text={"train": Saved(bytes=1000, before=400, after=300), "past": Saved(bytes=0, before=0, after=0)},
    best=[BestPiece(piece=" mortgage", saved=70), BestPiece(piece="<b>", saved=30)],
)


def test_what_an_extension_saves_and_costs() -> None:
    report = make_report(kind="extended", extension=EXTENSION)
    (_, saved), (_, cost), (_, best) = extension_tables(report)
    assert saved.rows == [
        Row("the training text", 0, ["1.00 kB", "400", "0.4000", "300", "0.3000", "-25.0%"]),
        Row("text that it was not trained on", 0, ["0 bytes", "0", "–", "0", "–", "–"]),
    ]
    assert cost.rows == [Row("", 0, ["1,000", "12", "1.02 million", "4.10 million", "8.19 million"])]
    assert best.rows == [Row("␣mortgage", 0, ["70"]), Row("<b>", 0, ["30"])]
    assert summary(report).startswith("A given tokenizer with further pieces, of 4,096 pieces, 1,000 of them new. On")
    assert extension_tables(make_report()) == []


def test_how_it_was_made() -> None:
    training = Training(
        documents=3, bytes=10_000, distinct_pretokens=900, cut_pretokens=7, cut_occurrences=8, cut_pieces=9, chunks=4
    )  # fmt: skip
    facts = {row.label: row.cells[0] for row in training_table(make_report(training=training)).rows}
    assert facts == {
        "kind": "unigram",
        "words are cut by": "bloomberggpt",
        "digits": "single",
        "documents": "3",
        "text": "10.0 kB",
        "distinct words": "900",
        "rare words that others stand for": "7",
        "how often these were met": "8",
        "chunks trained apart and merged": "4",
        "least probable pieces that memory had no room for": "9",
    }
    given = make_report(kind="given", pretokenization=None, digits=None)
    assert training_table(given).rows == [Row("kind", 0, ["given"])]


def test_plots_of_what_there_is() -> None:
    beside: dict[str, Figures] = {THIS: make_report(), **{f"other {n}": make_figures(100 + n, 99) for n in range(6)}}
    (sources,), (kinds,) = sources_plot(beside), kinds_plot(beside)
    assert sources.png.startswith(b"\x89PNG")
    assert kinds.png != sources.png
    assert sources_plot(beside)[0].png == sources.png
    assert sources_plot({THIS: make_report(sources={})}) == kinds_plot({THIS: make_report(word_kinds={})}) == []
    assert [plot.name for plot in sweep_plot(make_report(sweep=POINTS))] == ["tokenizer_sweep"]
    assert sweep_plot(make_report(sweep=POINTS[:1])) == sweep_plot(make_report()) == []


def test_pieces_are_made_visible() -> None:
    assert visible(" of the\n\t\x00\u200b☃") == "␣of␣the⏎⇥<0><200B>☃"


def test_the_page_stands_alone_and_escapes_data(tmp_path: Path, read_page: Callable[[Path], Any]) -> None:
    samples = PieceSamples(longest=["<script>alert(1)</script>"], multi_word=[" of the"], unused=[])
    report = make_report(
        samples=samples, sweep=POINTS, extension=EXTENSION, compared={"<i>gpt2</i>": make_figures(50_257, 210)}
    )
    (tmp_path / "report.json").write_text(report.model_dump_json())
    page = read_page(write_tokenizer_page(tmp_path / "report.json", tmp_path / "reports", "<name>"))
    for text in ("<name>", "<b>web</b>", "<i>gpt2</i>", "<script>alert(1)</script>", "␣of␣the", "20.0% fewer"):
        assert text in page.words
    assert f"Measured on {text_size(report.total.bytes)} of text that it was not trained on" in page.words
    assert "Pieces that the measured text does not use" not in page.words
    assert page.words.index("20.0% fewer") < page.words.index("bytes per token")
    assert len([tag for tag, _ in page.tags if tag == "figure"]) == 3
    assert all(shown == made for shown, made, _ in trace(tmp_path / "reports" / "tokenizer.html"))


def test_a_tokenizer_that_was_measured_on_nothing(tmp_path: Path, read_page: Callable[[Path], Any]) -> None:
    report = make_report(sources={}, word_kinds={})
    assert math.isnan(report.total.bytes_per_token)
    (tmp_path / "report.json").write_text(json.dumps(report.model_dump(mode="json")))
    page = read_page(write_tokenizer_page(tmp_path / "report.json", tmp_path / "reports", "empty"))
    assert "nan" not in page.words
