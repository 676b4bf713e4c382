import io
from collections import Counter

import pytest

from data.format_config import PdfConfig
from data.readers.page_layout import Line, Piece, lines_of, text_of
from data.readers.pdf import BLANK, WITHOUT_TEXT, date_of, read_pdf
from data.readers.rows import LeftOut, MalformedError
from tests.data.readers.made import column, pdf
from tests.data.readers.samples import CANALS, LEFT, PAPER, RIGHT


def rows(content: bytes, config: PdfConfig | None = None) -> list[object]:
    file = io.BufferedReader(io.BytesIO(content))  # type: ignore[arg-type]
    return [found for _, found in read_pdf(file, "a.pdf", config or PdfConfig())]


def fields(content: bytes, config: PdfConfig | None = None) -> dict[str, object]:
    found = rows(content, config)[-1]
    assert isinstance(found, dict), found
    return found


COLUMN = (
    "The canal was cut between 1794 and 1801 and it climbs sixty metres by 29 locks of which the summit lies in a "
    "cutting at Thorne that was dug by hand through blue clay and has slipped some three times. Coal went down and "
    "limestone came up to it. In the best year this canal carried 212,000 tons."
)


def test_a_paper_of_two_columns() -> None:
    """Columns one after the other, words whole, headers and page numbers out, rows of cells as lines."""
    found = fields(PAPER)
    expected = ["The canal from Arden to Wick and what came after"]
    for name in CANALS:
        expected.append(COLUMN.replace("canal", name))
        expected += ["Year | Tons\n1846 | 212,000"] if name == CANALS[1] else []
        expected.append(COLUMN.replace("canal", f"{name} railway").replace("Coal", "Iron"))
    assert str(found["text"]).split("\n\n") == expected
    assert found["title"] == "Canals"
    assert (found["date"], found["date_kind"]) == (None, None)


def test_a_heading_over_both_columns_parts_what_is_above_from_what_is_below() -> None:
    lower = [line.upper() for line in LEFT]
    lines = [
        *column(72, 760, LEFT),
        *column(330, 760, RIGHT),
        (72, 660, 14, "A heading that reaches over both of the columns of it"),
        *column(72, 620, lower),
        *column(330, 620, RIGHT),
    ]
    text = str(fields(pdf([lines]))["text"])
    places = [text.index(part) for part in ("The canal", "The railway", "A heading", "THE CANAL")]
    assert places == sorted(places)
    assert text.rindex("The railway") > places[-1]


def test_pages_without_text_are_counted_and_a_document_of_such_is_none() -> None:
    assert Counter(found for found in rows(PAPER) if isinstance(found, LeftOut)) == {
        LeftOut(WITHOUT_TEXT): 1,
        LeftOut(BLANK): 1,
    }
    [scan] = rows(pdf([[], []], images=[0, 1]))
    assert isinstance(scan, MalformedError)
    assert str(scan) == "needs OCR: none of its 2 pages has text"
    assert scan.size == len(pdf([[], []], images=[0, 1]))
    [empty] = rows(pdf([[]]))
    assert isinstance(empty, MalformedError)
    assert "empty document" in str(empty)


def test_a_page_of_signs_that_are_no_letters_needs_ocr() -> None:
    [found] = rows(pdf([[(72, 700, 10, "\x03\x04\x05\x06 ab")]]))
    assert isinstance(found, MalformedError)
    assert "needs OCR" in str(found)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("D:20190314233000-05'00'", "2019-03-15"),
        ("D:20190314233000Z", "2019-03-14"),
        ("D:20190314", "2019-03-14"),
        ("D:201903", "2019-03-01 to 2019-03-31"),
        ("20190314", "2019-03-14"),
        ("D:2019", "2019-01-01 to 2019-12-31"),
        ("D:20191432", "None"),
        ("D:19101010112000", "None"),  # of 2001, by Distiller
        ("D:1990", "None"),
        ("today", "None"),
    ],
)
def test_dates_of_files_count_where_they_are_asked_for(written: str, expected: str) -> None:
    assert str(date_of(written)) == expected
    lines = [[(72.0, 700.0, 10.0, "Some words")]]
    content = pdf(lines, info=f"/CreationDate ({written}) /ModDate (D:20240101)")
    assert str(fields(content, PdfConfig(date="created"))["date"]) == expected
    modified = fields(content, PdfConfig(date="modified"))
    assert (str(modified["date"]), modified["date_kind"]) == ("until 2024-01-01", "revised")


@pytest.mark.parametrize(
    "said",
    [
        "If this message is not eventually replaced with the proper contents of the document, your PDF",
        "For the best experience, open this PDF portfolio in Acrobat X or later.",
    ],
)
def test_a_page_that_stands_for_text_elsewhere_is_no_text(said: str) -> None:
    [found] = rows(pdf([[(72.0, 700.0, 10.0, "Please wait..."), (72.0, 650.0, 10.0, said)]]))
    assert isinstance(found, MalformedError)
    assert str(found).startswith("text elsewhere")


def test_an_encrypted_document_is_named() -> None:
    """By a key that no password opens, as by the standard's algorithm 2 with other entries."""
    key = "00" * 32
    content = pdf([[(72, 700, 10, "Secret")]]).replace(
        b"trailer << ",
        f"trailer << /Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <{key}> /U <{key}> >> /ID [<00> <00>] ".encode(),
    )
    [found] = rows(content)
    assert isinstance(found, MalformedError)
    assert str(found) == "encrypted: it opens with a password"


def test_no_pdf_at_all() -> None:
    [found] = rows(b"%PDF-1.4 nothing")
    assert isinstance(found, MalformedError)
    assert "unreadable document" in str(found)


def line(text: str, middle: float, **changes: object) -> Line:
    return Line(72, middle - 5, 300, middle + 5, text, False, 0)._replace(**changes)  # type: ignore[arg-type]


def test_hyphens_go_where_the_document_writes_the_word_whole() -> None:
    page = [
        line("a well-", 700),
        line("known man and a long-", 688),
        line("term view of manage-", 676),
        line("ment", 664),
    ]
    assert text_of([page]) == "a wellknown man and a longterm view of management"
    more = [*page, line("as in long-term and well-known", 600)]
    assert text_of([more]).startswith("a well-known man and a long-term view of management")
    assert text_of([[line("the North-", 700), line("South line", 688)]]) == "the North-South line"


def test_repeated_edges_go_but_not_what_stands_once() -> None:
    pages = [
        [line(f"Chapter {number}, p. {number * 3}", 760), line(f"Words {'abcd'[number]} of their own", 400)]
        for number in range(4)
    ]
    assert text_of(pages) == "\n\n".join(f"Words {letter} of their own" for letter in "abcd")
    assert "Chapter" in text_of(pages[:2]), "two pages are no proof"


def test_a_table_stays_rows() -> None:
    """Columns of numbers are no columns of a page."""
    pieces = [
        Piece(x, 700 - 12 * row, x + 60, 709 - 12 * row, f"{row}{name}")
        for row in range(12)
        for x, name in ((72, "a"), (200, "b"), (330, "c"))
    ]
    assert [found.text for found in lines_of(pieces)] == [f"{row}a | {row}b | {row}c" for row in range(12)]


@pytest.mark.parametrize("kind", ["Widget", "FreeText"])
def test_what_was_typed_into_a_page_is_read(kind: str) -> None:
    content = pdf([[(72.0, 700.0, 10.0, "Name of the owner")]], typed=kind)
    assert fields(content)["text"] == "Name of the owner Filled in"
    assert "Filled in" in str(fields(pdf([[]], typed=kind))["text"])
