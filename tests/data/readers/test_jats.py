import io
from pathlib import Path

import pytest

from data.format_config import JatsConfig
from data.readers.jats import read_jats
from data.readers.rows import MalformedError

GOLDEN = (Path(__file__).parent / "files" / "articles.xml").read_bytes()
ALI, CC = "http://www.niso.org/schemas/ali/1.0/", "http://creativecommons.org/licenses/by/4.0/"


def rows(content: bytes, **settings: str) -> list[object]:
    file = io.BufferedReader(io.BytesIO(content))  # type: ignore[arg-type]
    return [row for _, row in read_jats(file, "a.xml", JatsConfig.model_validate(settings))]


def test_an_article_as_publishers_have_it() -> None:
    (fields,) = rows(GOLDEN)
    assert isinstance(fields, dict)
    assert str(fields.pop("date")) == "2013-02-28"
    assert fields == {
        "text": "Tides at Mill Harbour\n\nBackground\n\nThe tide was 1.5 × 10^3 mm.\n\nResults\n\nIt fell.\n\n"
        "Methods\n\nWe read a gauge [1]:\n\n$$h = a t^2$$ (1)\n\n"
        "where t^{2} and [formula].\n\n- at noon\n- at night\n\n"
        "Table 1\n\nHeights.\n\nDay | mm\none | 1,200\n\nMean.\n\nThanks.",
        "id": "PMC800001",
        "title": "Tides at Mill Harbour",
        "url": "https://doi.org/10.9999/harbour.1",
        "licence": "http://creativecommons.org/licenses/by/3.0/",
        "date_kind": "published",
    }


def test_references_are_kept_where_they_are_asked_for() -> None:
    (fields,) = rows(GOLDEN, references="keep")
    assert isinstance(fields, dict)
    assert str(fields["text"]).endswith("Thanks.\n\nReferences\n\nA. Gauge. 1999.")


def pub_date(kind: str, *parts: str) -> str:
    names = ("year", "month", "day")
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in zip(names, parts, strict=False))
    return f"<pub-date {kind}>{inner}</pub-date>"


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        ('<pub-date publication-format="electronic" iso-8601-date="2020-05-06"/>', "published 2020-05-06"),
        (
            '<pub-date pub-type="ppub"><season>Jan-Feb</season><year>2001</year></pub-date>',
            "published 2001-01-01 to 2001-02-28",
        ),
        (pub_date('pub-type="pmc-release"', "2012", "3", "1"), "published until 2012-03-01"),
        (
            pub_date('pub-type="epub"', "2012") + pub_date('pub-type="retracted"', "2001"),
            "published 2012-01-01 to 2012-12-31",
        ),
        (
            pub_date('pub-type="epub"', "2012", "4", "3") + pub_date('date-type="corrected"', "2014", "2", "1"),
            "revised 2012-04-03 to 2014-02-01",
        ),
        (
            pub_date('pub-type="epub"', "2012", "4", "3")
            + '<pub-history><event event-type="new-version"><date iso-8601-date="2014-02-01"/></event></pub-history>',
            "revised 2012-04-03 to 2014-02-01",
        ),
        (
            pub_date('pub-type="pmc-release"', "2012", "3", "1") + pub_date('date-type="corrected"', "2014", "2", "1"),
            "revised until 2014-02-01",
        ),
        ('<pub-date pub-type="epub" iso-8601-date="../2012-03-01"/>', "published until 2012-03-01"),
        ("", "None None"),
    ],
)
def test_all_dates_are_read(dates: str, expected: str) -> None:
    begin, end = GOLDEN.index(b'<pub-date pub-type="collection">'), GOLDEN.index(b"<history>")
    (fields,) = rows(GOLDEN[:begin] + dates.encode() + GOLDEN[end:])
    assert isinstance(fields, dict)
    assert f"{fields.get('date_kind')} {fields.get('date')}" == expected


@pytest.mark.parametrize(
    ("permissions", "licence"),
    [
        (f"<license><a:license_ref xmlns:a='{ALI}'>https://x.org/l</a:license_ref></license>", "https://x.org/l"),
        (f"<license><license-p>See <ext-link xlink:href='{CC}'>x</ext-link></license-p></license>", CC),
        ("<license><license-p>Free to  read.</license-p></license>", "Free to read."),
        ("<copyright-statement>All rights reserved</copyright-statement>", None),
    ],
)
def test_the_licence_is_where_publishers_state_it(permissions: str, licence: str | None) -> None:
    begin, end = GOLDEN.index(b"<license"), GOLDEN.index(b"</permissions>")
    (fields,) = rows(GOLDEN[:begin] + permissions.encode() + GOLDEN[end:])
    assert isinstance(fields, dict)
    assert fields["licence"] == licence


def test_several_articles_in_a_namespace_and_one_that_cannot_be_read() -> None:
    article = GOLDEN[GOLDEN.index(b"<article ") :]
    broken = article.replace(b"article-meta>", b"article-data>")
    declared = (
        b"<!DOCTYPE set SYSTEM 'x.dtd'><set xmlns='http://jats.nlm.nih.gov'>" + article + broken + article + b"</set>"
    )
    first, second, third = rows(declared)
    assert first == third == rows(GOLDEN)[0]
    assert isinstance(second, MalformedError)
    assert str(second).startswith("no article-meta")


def test_damage_and_other_files_are_said() -> None:
    with pytest.raises(ValueError, match="broken XML"):
        rows(GOLDEN[:-20])
    with pytest.raises(ValueError, match="it holds no <article>"):
        rows(b"<html/>")
