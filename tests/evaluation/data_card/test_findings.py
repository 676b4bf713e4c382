"""A data card's tables of what was looked for: the worst first, and none of nothing."""

import datetime

from evaluation.data_card.corpus_report import CommonPhrases, Contamination, Leaks, LeakSample, LeakTest, Touched
from evaluation.data_card.findings import common_table, contamination_table, leaks_table, left_out_table
from evaluation.data_card.tables import MOST_ROWS
from evaluation.pages.html import Row
from tests.evaluation.data_card.test_tables import make_report, make_source


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


def test_parts_of_files_that_are_no_records_stand_by_kind() -> None:
    filings = make_source(left_out={"GRAPHIC": 2, "ZIP": 12})
    rows = left_out_table(make_report({"filings": filings, "web": make_source()})).rows
    assert [(row.label, [*map(str, row.cells)]) for row in rows] == [
        ("filings", []),
        ("ZIP", ["12"]),
        ("GRAPHIC", ["2"]),
    ]


def test_documents_of_contradicted_dates_stand_by_source_with_their_words() -> None:
    sample = LeakSample(id="d1", file="f", line=3, words=4, of=90, absent_until={"brexit": datetime.date(2016, 1, 31)})
    found = {
        "news": LeakTest(judged=900, suspected=1, samples=[sample]),
        "web": LeakTest(judged=7, suspected=0, samples=[]),
    }
    report = make_report({}).model_copy(update={"leaks": Leaks(action="flag", sources=found)})
    assert [(row.label, [*map(str, row.cells)]) for row in leaks_table(report).rows] == [
        ("news", ["900", "1", "d1: brexit (not before 2016-01-31)"]),
        ("web", ["7", "0", ""]),
    ]
    assert leaks_table(make_report({})).rows == []
