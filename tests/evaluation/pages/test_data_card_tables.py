"""A data card's tables: every row's sources add up to its sum, every column to the whole, however much is in one."""

import datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from evaluation.pages.corpus_report import (
    CommonPhrases,
    Contamination,
    CorpusReport,
    KeptDocuments,
    Sample,
    SourceReport,
    Touched,
)
from evaluation.pages.data_card_tables import (
    MOST_ROWS,
    SOURCES_BESIDE,
    boilerplate_tables,
    common_table,
    contamination_table,
    dropped_tables,
    duplicates_found,
    empty_files_table,
    fates_tables,
    key_figures,
    language_table,
    licence_tables,
    lost_files_table,
    removal_tables,
    removals_of,
    sample_tables,
    source_tables,
    split_table,
    summary,
    year_tables,
)
from evaluation.pages.document_counts import Counts, DocumentCounts, totals_by_source
from evaluation.pages.html import Row, Table

COUNTS_BY_REASON = st.dictionaries(st.text(max_size=4), st.integers(0, 10**6), max_size=60)


def make_source(documents: int = 0, **fields: Any) -> SourceReport:
    """A source whose counts agree, all of its documents in `train`."""
    kept = KeptDocuments(documents=documents, characters=9, bytes=10, first_date=None, last_date=None)
    content: dict[str, Any] = {"path": "p", "licence": None, "language": None, "domain": False, "kept": {"train": kept}}
    content |= {"dropped": {}, "quarantined": {}, "scrubbed": {}, "removed_lines": 0, "samples": {}}
    content |= {"licences": {"unknown": documents}} | fields
    kept_documents = sum(split.documents for split in content["kept"].values())
    read = kept_documents + sum(content["dropped"].values()) + sum(content["quarantined"].values())
    return SourceReport(read=read, **content)


def make_report(sources: dict[str, SourceReport], cutoff: datetime.date | None = None) -> CorpusReport:
    return CorpusReport(sources=sources, near_duplicates=None, contamination=None, tombstones=0, cutoff=cutoff, seed=0)


def make_counts(years: dict[int | None, int]) -> DocumentCounts:
    """One document of ten bytes for each token, by year."""
    found = {year: Counts(tokens, tokens, 10 * tokens) for year, tokens in years.items()}
    by_year = {year: counts for year, counts in found.items() if year is not None}
    lengths = {0: Counts.total(found.values())}
    return DocumentCounts(by_year, lengths, None, None, undated=found.get(None, Counts()))


def numbers(tables: list[Table], depth: int | None = None) -> dict[str, list[int]]:
    """The counts in rows of this depth: the sum, then every source's, from all tables."""
    found: dict[str, list[int]] = {}
    for table in tables:
        begin = table.columns.index("share") + 1 if "share" in table.columns else 1
        for row in table.rows:
            if depth in (None, row.depth):
                cells = [
                    0 if cell == "–" else int(cell.replace(",", "")) for cell in (row.cells[0], *row.cells[begin:])
                ]
                assert found.setdefault(row.label, cells[:1])[0] == cells[0]
                found[row.label] += cells[1:]
    return found


@given(st.lists(st.tuples(COUNTS_BY_REASON, COUNTS_BY_REASON, st.integers(0, 10**6)), min_size=1, max_size=15))
def test_what_became_of_the_records_adds_up(contents: list[tuple[dict[str, int], dict[str, int], int]]) -> None:
    report = make_report(
        {
            f"s{n}": make_source(documents, dropped=dropped, quarantined=quarantined)
            for n, (dropped, quarantined, documents) in enumerate(contents)
        }
    )
    tables = fates_tables(report)
    assert len(tables) == -(-len(contents) // SOURCES_BESIDE)
    fates = numbers(tables, depth=0)
    assert fates["read"][1:] == [source.read for source in report.sources.values()]
    for column in range(len(contents) + 1):
        assert fates["read"][column] == sum(fates[fate][column] for fate in ("kept", "dropped", "quarantined"))
    for table in tables:
        labels = [row.label for row in table.rows if row.depth == 0]
        assert labels == ["read", "kept", "dropped", "quarantined"]
        assert sum(row.depth == 1 for row in table.rows) <= 2 * (MOST_ROWS + 1)
    for counts in fates.values():
        assert counts[0] == sum(counts[1:])
    reasons = sum(int(row.cells[0].replace(",", "")) for row in tables[0].rows if row.depth == 1)
    assert reasons == fates["dropped"][0] + fates["quarantined"][0]


@given(
    st.lists(
        st.dictionaries(st.none() | st.integers(1, 9999), st.integers(1, 10**9), max_size=90), min_size=1, max_size=8
    ),
    st.integers(0, 9999),
)
def test_years_add_up_in_few_rows(contents: list[dict[int | None, int]], shift: int) -> None:
    counts = {"train": {f"s{n}": make_counts(years) for n, years in enumerate(contents)}}
    report = make_report({name: make_source() for name in counts["train"]})
    tables = year_tables(report, counts)
    sums = numbers(tables)
    assert len(sums) <= MOST_ROWS + 1
    for column, years in enumerate(contents, start=1):
        assert sum(found[column] for found in sums.values()) == sum(years.values())
    undated = [years.get(None, 0) for years in contents]
    assert sums.get("without a date", [0, *undated])[1:] == undated


def test_few_years_are_rows_of_their_own_and_many_are_put_together() -> None:
    report = make_report({"a": make_source()})
    few = year_tables(report, {"train": {"a": make_counts({2001: 1, 2003: 2})}, "past": {"a": make_counts({2003: 5})}})
    assert [(row.label, row.cells) for row in few[0].rows] == [
        ("2001", ["1", "12.5%", "1"]),
        ("2003", ["7", "87.5%", "7"]),
    ]
    many = year_tables(report, {"train": {"a": make_counts(dict.fromkeys(range(1790, 2027), 1))}})
    assert [row.label for row in many[0].rows[:2]] == ["1790–1799", "1800–1809"]
    assert year_tables(report, {}) == []


def test_the_sentence_says_what_the_corpus_is() -> None:
    report = make_report({"news": make_source(domain=True), "web": make_source()}, datetime.date(2020, 5, 1))
    counts = {
        "train": {"news": make_counts({2001: 1_000}), "web": make_counts({None: 500})},
        "future": {"news": make_counts({2021: 20})},
    }
    assert summary(report, counts) == (
        "1,520 documents of 2 sources, of which news is the domain's: 15.2 kB of text, 1,520 tokens. 1,500 are to be "
        "learnt from, none of them dated 2020-05-01 or later (500 have no date); 20 are held out to measure what was "
        "learnt."
    )
    undated = make_report({"web": make_source()})
    assert summary(undated, {"train": {"web": make_counts({None: 3})}}) == (
        "3 documents of 1 source: 30 bytes of text, 3 tokens. 3 are to be learnt from and 0 are held out, whatever "
        "their dates."
    )
    many = make_report({f"s{n}": make_source(domain=True) for n in range(3)})
    assert "of 3 sources, of which 3 are the domain's:" in summary(many, {})


def test_key_figures() -> None:
    report = make_report({"news": make_source(30, dropped={"duplicate": 10})}, datetime.date(2020, 5, 1))
    counts = {"train": {"news": make_counts({2001: 25})}, "past": {"news": make_counts({2001: 5})}}
    assert key_figures(report, counts) == [
        ("records read", "40"),
        ("kept", "75.0%"),
        ("text", "300 bytes"),
        ("training tokens", "25"),
        ("held-out tokens", "5"),
        ("cutoff", "2020-05-01"),
    ]


def test_sources_and_splits() -> None:
    days = [datetime.date(2001, 1, 1), datetime.date(2003, 3, 3)]
    kept = {
        split: KeptDocuments(documents=2, characters=15, bytes=20, first_date=day, last_date=day)
        for split, day in zip(("train", "past"), days, strict=True)
    }
    news = make_source(kept=kept, licences={"CC0": 4}, path="s3://news", licence="CC0", language="en", domain=True)
    report = make_report({"news": news, "web": make_source()})
    counts = {
        "past": {"news": make_counts({2003: 2})},
        "train": {"news": make_counts({2001: 2}), "web": make_counts({None: 4})},
    }
    origins, figures = source_tables(report, counts)
    assert origins.rows == [
        Row("news", 0, ["domain", "s3://news", "CC0", "en"]),
        Row("web", 0, ["general", "p", "–", "any"]),
    ]
    assert figures.rows[0].cells == ["4", "4", "40 bytes", "4", "50.0%", "10.00", "2001-01-01", "2003-03-03"]
    assert [(row.label, row.depth, row.cells) for row in split_table(report, counts).rows] == [
        ("train: what a model learns from", 0, ["6", "4", "2001-01-01", "2001-01-01", "24", "60", "6"]),
        ("news", 1, ["2", "0", "2001-01-01", "2001-01-01", "15", "20", "2"]),
        ("web", 1, ["4", "4", "–", "–", "9", "40", "4"]),
        ("past: held out at random from the same time", 0, ["2", "0", "2003-03-03", "2003-03-03", "15", "20", "2"]),
        ("news", 1, ["2", "0", "2003-03-03", "2003-03-03", "15", "20", "2"]),
    ]
    assert list(totals_by_source(counts)) == ["news", "web"]


def test_licences_languages_removals_and_duplicates() -> None:
    dropped = {"language: de": 2, "language: fr": 5, "duplicate": 3, "near-duplicate of held-out text": 4}
    news = make_source(6, dropped=dropped, language="en", scrubbed={"iban": 0, "email": 8}, removed_lines=9)
    web = make_source(2, licences={"CC0": 1, "unknown": 1})
    report = make_report({"news": news, "web": web})
    assert numbers(licence_tables(report)) == {"unknown": [7, 6, 1], "CC0": [1, 0, 1]}
    assert [row.cells for row in language_table(report).rows] == [["en", "6", "fr 5, de 2"], ["any", "2", "–"]]
    assert language_table(make_report({"web": web})).rows == []
    assert numbers(removal_tables(report)) == {
        "boilerplate lines removed": [9, 9, 0],
        "personal data replaced by a mark": [8, 8, 0],
        "email": [8, 8, 0],
        "iban": [0, 0, 0],
    }
    assert removal_tables(make_report({"web": web})) == []
    assert duplicates_found(report) == {"exact": 3, "near": 4, "held_out": 4}


def test_contaminated_items_with_the_most_documents_come_first_and_the_others_are_counted() -> None:
    touched = {
        f"item:{n}": Touched(documents=n, first=[f"d{m}" for m in range(min(n, 9))]) for n in range(1, MOST_ROWS + 3)
    }
    table = contamination_table(Contamination(items=99, too_short=1, action="remove", touched=touched))
    assert table.rows[0] == Row(f"item:{MOST_ROWS + 2}", 0, ["42", "d0, d1, d2, d3, d4 and 37 more"])
    assert table.rows[-1] == Row("2 other items", 0, ["3", "–"])
    assert contamination_table(None).rows == []


def test_items_left_for_their_common_phrases() -> None:
    common = {f"i{index:03}": CommonPhrases(documents=index, ngrams=1, of=2) for index in range(11, 60)}
    met = Contamination(items=99, too_short=1, action="remove", touched={}, common=common)
    rows = common_table(met).rows
    assert (rows[0].label, rows[0].cells) == ("i059", ["59", "1", "2"])
    assert rows[-1].cells[0] == f"{sum(range(11, 60 - MOST_ROWS)):,}"
    assert common_table(None).rows == []


def test_samples_come_from_different_sources_first() -> None:
    def samples(name: str, count: int) -> dict[str, list[Sample]]:
        return {"too short": [Sample(id=f"{name}{n}", file="f", line=n, text="x") for n in range(count)]}

    report = make_report(
        {name: make_source(samples=samples(name, count)) for name, count in (("a", 5), ("b", 1), ("c", 0))}
    )
    ((reason, table),) = sample_tables(report)
    assert reason == "too short"
    assert [row.cells[1] for row in table.rows] == ["a0", "b0", "a1", "a2"]
    assert table.rows[0] == Row("a", 0, ["f:0", "a0", "x"])


def test_empty_files_and_boilerplate_expressions_stand_on_the_card() -> None:
    news = make_source(
        3, boilerplate_lines={"Page .*": 1_200, "Pag .*": 0}, empty_files={"files": 7, "first": ["a", "b"]}
    )
    report = make_report({"news": news, "web": make_source(2, boilerplate_lines={"Page .*": 1, "Pag .*": 0})})
    assert [(row.label, row.cells) for row in empty_files_table(report).rows] == [("news", ["7", "a, b"])]
    (table,) = boilerplate_tables(report)
    assert [(row.label, row.cells) for row in table.rows] == [
        ("Pag .*", ["0", "–", "–"]),
        ("Page .*", ["1,201", "1,200", "1"]),
    ]
    assert removals_of(report) == "in what was kept"
    older = make_report({"web": make_source(2)})
    assert removals_of(older).startswith("in all texts that were read")
    assert not boilerplate_tables(older)
    assert not empty_files_table(older).rows


def test_files_that_were_lost_are_named_with_their_source_and_size() -> None:
    sources = {"a": make_source(3), "b": make_source(3, lost_files={"x/1.gz": 12_345, "x/2.gz": 7})}
    rows = [Row("x/1.gz", 0, ["b", "12,345"]), Row("x/2.gz", 0, ["b", "7"])]
    assert lost_files_table(make_report(sources)) == Table(["source", "bytes"], rows)
    assert not lost_files_table(make_report({"a": make_source(3)})).rows


def test_what_was_dropped_is_shown_by_its_characters() -> None:
    news = make_source(1, dropped={"too long": 1, "empty": 2}, dropped_characters={"too long": 750})
    general = make_source(1, dropped={"duplicate": 1}, dropped_characters={"duplicate": 250})
    (table,) = dropped_tables(make_report({"news": news, "general": general}))
    assert table.columns == ["all", "share", "news", "general"]
    assert table.rows == [
        Row("too long", 0, ["750", "75.0%", "750", "–"]),
        Row("duplicate", 0, ["250", "25.0%", "–", "250"]),
    ]
    assert dropped_tables(make_report({"news": make_source(1)})) == []
