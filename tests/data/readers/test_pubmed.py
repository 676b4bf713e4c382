import io
from pathlib import Path

import pytest

from data.readers.pubmed import read_pubmed
from data.readers.rows import LeftOut, MalformedError

GOLDEN = (Path(__file__).parent / "files" / "citations.xml").read_bytes()


def rows(content: bytes) -> list[tuple[int, object]]:
    return list(read_pubmed(io.BufferedReader(io.BytesIO(content)), "a.xml"))  # type: ignore[arg-type]


def test_citations_as_the_baseline_has_them() -> None:
    (_, first), (_, second), *deleted = rows(GOLDEN)
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert str(first.pop("date")) == "2018-07-01 to 2018-08-31"
    assert first == {
        "text": "Tides of 10^3 mm in Mill Harbour.\n\nBACKGROUND: The tide was < 2 m.\n\nIt fell.",
        "id": "900001",
        "title": "Tides of 10^3 mm in Mill Harbour.",
        "url": "https://pubmed.ncbi.nlm.nih.gov/900001/",
        "date_kind": "published",
    }
    # The text is of the second version, and may have been the first's: from its appearance to the revision.
    assert (second["id"], second["date_kind"]) == ("900002.2", "revised")
    assert str(second["date"]) == "2019-03-09 to 2021-06-07"
    assert deleted == [(3, LeftOut("DeleteCitation")), (4, LeftOut("DeleteCitation"))]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ((b'<PMID Version="1">900001</PMID>', b""), "no PMID"),
        ((b"2018 Jul-Aug", b"18 Jul"), "unreadable date"),
        ((b"It fell.", b"&nosuch;"), "unknown entity"),
    ],
)
def test_a_citation_that_cannot_be_read_says_why(change: tuple[bytes, bytes], reason: str) -> None:
    found = rows(GOLDEN.replace(*change))
    assert len(found) == 4
    assert isinstance(found[0][1], MalformedError)
    assert str(found[0][1]).startswith(reason)
    assert found[0][1].size > 500


def test_a_citation_without_a_date_has_none_and_one_of_a_book_is_read() -> None:
    (_, first), *_ = rows(GOLDEN.replace(b"<MedlineDate>2018 Jul-Aug</MedlineDate>", b""))
    assert isinstance(first, dict)
    assert "date" not in first
    book = b"""<PubmedArticleSet><PubmedBookArticle><BookDocument><PMID Version="1">7</PMID><Book><BookTitle>Harbours
    </BookTitle><PubDate><Year>1993</Year></PubDate></Book><Abstract><AbstractText>All.</AbstractText></Abstract>
    <ContributionDate><Year>2001</Year><Month>Mar</Month></ContributionDate></BookDocument></PubmedBookArticle>
    </PubmedArticleSet>"""
    ((_, fields),) = rows(book)
    assert isinstance(fields, dict)
    assert (fields["text"], str(fields["date"])) == ("Harbours\n\nAll.", "1993-01-01 to 2001-03-31")
    revision = b"<DateRevised><Year>2023</Year><Month>06</Month><Day>05</Day></DateRevised></BookDocument>"
    ((_, fields),) = rows(book.replace(b"</BookDocument>", revision))
    assert isinstance(fields, dict)
    assert (fields["id"], str(fields["date"]), fields["date_kind"]) == ("7", "1993-01-01 to 2023-06-05", "revised")


def test_damage_and_other_files_are_said() -> None:
    with pytest.raises(ValueError, match="broken XML"):
        rows(GOLDEN[:-30])
    with pytest.raises(ValueError, match="it holds no PubmedArticle"):
        rows(b"<article/>")
