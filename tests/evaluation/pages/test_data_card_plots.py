"""The plots of awkward corpora: no dates, years far apart, very many sources and reasons, nothing kept."""

import datetime
from typing import Any

import pytest

from evaluation.pages.corpus_report import CorpusReport, KeptDocuments, SourceReport
from evaluation.pages.data_card_plots import data_plots, fates_plot, lengths_plot, tokens_plot, years_plot
from evaluation.pages.document_counts import Counts, DocumentCounts


def make_report(sources: int, reasons: int, documents: int = 5, cutoff: datetime.date | None = None) -> CorpusReport:
    kept = KeptDocuments(documents=documents, characters=9, bytes=10, first_date=None, last_date=None)
    content: dict[str, Any] = {"path": "p", "licence": None, "language": None, "domain": False, "kept": {"train": kept}}
    content |= {"quarantined": {}, "scrubbed": {}, "removed_lines": 0, "samples": {}}
    dropped = {f"rule {n}: detail": n for n in range(reasons)}
    read = documents + sum(dropped.values())
    content |= {"licences": {"unknown": documents}, "dropped": dropped, "read": read}
    found = {f"source_{n}": SourceReport(**content) for n in range(sources)}
    return CorpusReport(sources=found, near_duplicates=None, contamination=None, tombstones=0, cutoff=cutoff, seed=0)


def make_counts(years: dict[int | None, int]) -> DocumentCounts:
    by_year = {year: Counts(1, tokens, 4 * tokens) for year, tokens in years.items() if year is not None}
    undated = Counts(1, years[None], 4 * years[None]) if None in years else Counts()
    lengths = {tokens.bit_length() - 1: Counts(1, tokens, 4 * tokens) for tokens in years.values()}
    return DocumentCounts(by_year, lengths, None, None, undated=undated)


def test_a_plot_for_each_question_and_the_same_bytes_again() -> None:
    report = make_report(2, 3, cutoff=datetime.date(2010, 6, 1))
    counts = {
        "train": {"source_0": make_counts({2001: 700, 2009: 30}), "source_1": make_counts({None: 90})},
        "future": {"source_0": make_counts({2011: 50})},
    }
    plots = data_plots(report, counts)
    assert [plot.name for plot in plots] == ["data_years", "data_fates", "data_tokens", "data_lengths"]
    assert plots[0].caption == "Tokens by the year of their text; 10.3% of all tokens have no date"
    assert all(plot.png.startswith(b"\x89PNG") for plot in plots)
    assert [plot.png for plot in data_plots(report, counts)] == [plot.png for plot in plots]


def test_what_there_are_no_figures_for_is_left_out() -> None:
    report = make_report(1, 0)
    assert years_plot(report, {"train": {"source_0": make_counts({None: 5})}}) == []
    assert [plot.name for plot in data_plots(report, {})] == ["data_fates"]
    assert tokens_plot({}) == lengths_plot({}) == []


@pytest.mark.parametrize("sources", [1, 45])
def test_many_sources_reasons_and_years(sources: int) -> None:
    report = make_report(sources, 30, cutoff=datetime.date(2400, 1, 1))
    years = {"train": {f"source_{n}": make_counts({1 + n: 2**n, 9999: 5}) for n in range(sources)}}
    assert [plot.name for plot in data_plots(report, years)] == [
        "data_years",
        "data_fates",
        "data_tokens",
        "data_lengths",
    ]


def test_a_source_of_which_nothing_was_read_or_kept() -> None:
    assert fates_plot(make_report(2, 0, documents=0)).png.startswith(b"\x89PNG")
    assert fates_plot(make_report(1, 9, documents=0)).png.startswith(b"\x89PNG")
