import datetime
import io
from pathlib import Path

import pytest

from data.format_config import EdgarConfig
from data.interval import Interval
from data.readers import edgar
from data.readers.edgar import read_edgar
from data.readers.rows import LeftOut, MalformedError

GOLDEN = (Path(__file__).parent / "files" / "held.txt").read_bytes()


def rows(content: bytes, name: str = "a.txt", **settings: object) -> list[object]:
    numbered = list(read_edgar(io.BufferedReader(io.BytesIO(content)), name, EdgarConfig.model_validate(settings)))  # type: ignore[arg-type]
    assert [number for number, _ in numbered] == list(range(1, len(numbered) + 1))
    return [row for _, row in numbered]


def test_a_submission_as_the_archive_has_it() -> None:
    main, picture, exhibit = rows(GOLDEN)
    assert picture == LeftOut("type GRAPHIC")
    both = {
        "url": "https://www.sec.gov/Archives/edgar/data/12345/0009999999-98-000007.txt",
        "date": Interval.of_day(datetime.date(1999, 1, 1)),
        "date_kind": "filed",
    }
    assert main == both | {
        "id": "0009999999-98-000007:1",
        "title": "8-K, HARBOR & MILL TRUST",
        "text": "                 FORM 8-K\n--------------------------------------\n"
        "Distribution on December 15, 1998\n\n"
        "                        1998        1997\nPrincipal            $  1,234     $  (56)",
    }
    assert exhibit == both | {
        "id": "0009999999-98-000007:3",
        "title": "8-K EX-99.1, HARBOR & MILL TRUST",
        "text": "Statement to holders\n\nInterest paid | $1,234 | (5)\nShare | 12.5%\n\n- first\n- second",
    }


def test_the_feeds_form_without_ends_of_lines_and_a_file_without_header() -> None:
    document = b"<DOCUMENT><TYPE>10-K<SEQUENCE>1<FILENAME>a.htm<TEXT><p>One</p></TEXT></DOCUMENT>"
    feed = b"<SUBMISSION><ACCESSION-NUMBER>0000000001-25-000002<TYPE>10-K<FILING-DATE>20250110<CIK>5" + document
    (row,) = rows(feed + b"</SUBMISSION>", "0000000001-25-000002.nc")
    assert isinstance(row, dict)
    assert (row["id"], row["text"]) == ("0000000001-25-000002:1", "One")
    assert row["date"] == Interval.of_day(datetime.date(2025, 1, 10))
    assert rows(document) == [{"text": "One", "title": "10-K", "url": None}]
    assert rows(document.replace(b"\n", b"\r\n") * 2, "0000000001-95-000002.txt")[1] == {
        "id": "0000000001-95-000002:1.2",
        "text": "One",
        "title": "10-K",
        "url": None,
    }


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        ([], ["8-K", "EX-99.1"]),
        (["8-k"], ["8-K"]),
        (["EX-99*"], ["EX-99.1"]),
        (["EX-9"], []),
        (["GRAPHIC", "EX-99.1"], ["EX-99.1"]),
    ],
)
def test_documents_limits_the_types(wanted: list[str], kept: list[str]) -> None:
    found = rows(GOLDEN, documents=wanted)
    assert len(found) == 3
    types = ["8-K", "GRAPHIC", "EX-99.1"]
    assert [types[place] for place, row in enumerate(found) if isinstance(row, dict)] == kept
    assert all(isinstance(row, dict) or row == LeftOut(f"type {types[i]}") for i, row in enumerate(found))


@pytest.mark.parametrize(
    ("head", "text", "kind"),
    [
        ("EX-1", "begin 644 a.pdf\nM123", "uuencoded"),
        ("EX-1", "<PDF>\nbegin 644", "PDF"),
        ("4", "<XML>\n<?xml version='1.0'?><ownershipDocument/>", "XML"),
        ("EX-2", "<?xml version='1.0'?>\n<xsd:schema/>", "XML"),
        ("EX-2", '{"a": 1}', "JSON"),
        ("EX-101.INS", "<XBRL><p>", "type EX-101.INS"),
        ("ZIP", "x", "type ZIP"),
        ("\x01\x02", "x", None),
    ],
)
def test_what_is_no_text_is_left_out_by_kind(head: str, text: str, kind: str | None) -> None:
    (row,) = rows(f"<DOCUMENT>\n<TYPE>{head}\n<TEXT>\n{text}\n</TEXT>\n</DOCUMENT>".encode())
    assert row == (LeftOut(kind) if kind else row)
    assert isinstance(row, LeftOut) == bool(kind)


def test_inline_xbrl_is_text() -> None:
    page = "<XBRL>\n<?xml version='1.0' encoding='ASCII'?>\n<html xmlns='a'><body>text</body></html>\n</XBRL>"
    (row,) = rows(f"<DOCUMENT>\n<TYPE>10-K\n<TEXT>\n{page}\n</TEXT>\n</DOCUMENT>".encode())
    assert isinstance(row, dict)
    assert row["text"] == "text"


def test_nothing_is_lost_silently() -> None:
    with pytest.raises(EOFError, match="cut off in document 3"):
        rows(GOLDEN[: GOLDEN.index(b"Share")])
    with pytest.raises(ValueError, match="it holds no <DOCUMENT>"):
        rows(b"<html>Undeclared automated tool</html>")
    broken = GOLDEN.replace(b"<DOCUMENT>\n<TYPE>EX-99.1", b"<D0CUMENT>\n<TYPE>EX-99.1")
    *_, row = rows(broken)
    assert str(row) == "text outside of documents"
    assert isinstance(row, MalformedError)
    assert row.size > 400
    unclosed = GOLDEN.replace(b"</TEXT>\n</DOCUMENT>\n<DOCUMENT>\n<TYPE>EX", b"<DOCUMENT>\n<TYPE>EX")
    assert [type(row) for row in rows(unclosed)] == [dict, LeftOut, dict]
    assert str(rows(GOLDEN.replace(b"<TEXT>\n<HTML>", b"<HTML>"))[2]) == "no text: a document has no <TEXT>"


def test_several_submissions_in_one_file_keep_their_own_headers() -> None:
    other = (
        GOLDEN.replace(b"-98-000007", b"-97-000001").replace(b"19990101", b"19970102").replace(b"19981231", b"19970102")
    )
    found = [row for row in rows(GOLDEN + other) if isinstance(row, dict)]
    assert [row["id"] for row in found][2] == "0009999999-97-000001:1"
    assert found[2]["date"] == Interval.of_day(datetime.date(1997, 1, 2))


def test_a_document_that_is_too_long_is_never_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edgar, "LONGEST_DOCUMENT", 50_000)
    monkeypatch.setattr(edgar, "PIECE", 1_000)
    long = b"<DOCUMENT><TYPE>%s<TEXT>" + b"x" * 200_000 + b"</TEXT></DOCUMENT>"
    found = rows(long % b"10-K" + long % b"ZIP" + b"<DOCUMENT><TYPE>8-K<TEXT>after</TEXT></DOCUMENT>")
    assert str(found[0]) == "record too long: above 50,000 bytes"
    assert isinstance(found[0], MalformedError)
    assert found[0].size == 200_000 + len(b"<TYPE>10-K<TEXT></TEXT>")
    assert found[1] == LeftOut("type ZIP")
    assert isinstance(found[2], dict)


def test_the_bytes_decide_the_encoding_not_what_a_page_says() -> None:
    page = "<html><meta charset='utf-16'><p>naïve “quotes”</p></html>"
    for encoding in ("utf-8", "cp1252"):
        (row,) = rows(b"<DOCUMENT><TYPE>10-K<TEXT>" + page.encode(encoding) + b"</TEXT></DOCUMENT>")
        assert isinstance(row, dict)
        assert row["text"] == "naïve “quotes”"
