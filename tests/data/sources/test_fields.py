import json
from collections import Counter
from pathlib import Path

import pytest

from data.readers.rows import MalformedError
from data.source_config import SourceConfig
from data.sources.documents import PLAIN_AS_HTML, BadRecord, input_parts, read_part
from data.sources.fields import is_plain, lacking, text_at

CASE = {
    "name": "Harbour v. Mill",
    "decision_date": "1995-03",
    "casebody": {"data": {"opinions": [{"text": "Lead."}, {"text": None}, {"text": "Dissent."}], "parts": ["a", "b"]}},
    "pages": [[{"t": "1"}], [{"t": "2"}, {"t": "3"}]],
}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("casebody.data.opinions[*].text", "Lead.\n\nDissent."),
        ("casebody.data.parts[*]", "a\n\nb"),
        ("pages[*][*].t", "1\n\n2\n\n3"),
        ("name", "Harbour v. Mill"),
        ("nothing", None),
        ("nothing[*].text", None),
        ("casebody.data.opinions[*].none", None),
    ],
)
def test_fields_within_objects_and_lists(name: str, text: str | None) -> None:
    assert text_at(CASE, name, False) == text


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("casebody[*].text", "'casebody' is no list: its type is dict"),
        ("casebody.data.parts[*].text", "'text' is to be within an object, not a str"),
        ("casebody.data.opinions", "'casebody.data.opinions' is no string: its type is list"),
        ("casebody.data.opinions[*]", r"'casebody.data.opinions\[\*\]' is no string: its type is dict"),
    ],
)
def test_what_is_no_text_says_so(name: str, reason: str) -> None:
    with pytest.raises(MalformedError, match=reason):
        text_at(CASE, name, False)


def test_items_without_the_field_are_counted(tmp_path: Path) -> None:
    assert [lacking(CASE, name) for name in ("casebody.data.opinions[*].text", "pages[*][*].t", "name")] == [1, 0, 0]
    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps({"s": [{"text": "One."}, {"body": "Two."}, {"text": "Three."}]}) + "\n")
    source = SourceConfig(name="cases", path=str(file), text_field="s[*].text")
    left_out: Counter[str] = Counter()
    [document] = read_part(source, input_parts(source)[0], lambda record: None, left_out=left_out)
    assert (document.text, left_out) == ("One.\n\nThree.", {"item without s[*].text": 1})


def test_html_within_json_becomes_text(tmp_path: Path) -> None:
    page = "<section><p>The <b>court</b></p><table><tr><td>Fee</td><td>$</td><td>5</td></tr></table></section>"
    records = [
        {"opinions": [{"html": page}, {"html": "<p>No &amp; yes"}]},
        {"opinions": [{"html": "<b>" * 3_000 + "x"}]},
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    source = SourceConfig(name="a", path=str(tmp_path), text_field="opinions[*].html", text_is="html")
    bad: list[BadRecord] = []
    (part,) = input_parts(source)
    (document,) = read_part(source, part, bad.append)
    assert document.text == "The court\n\nFee | $5\n\nNo & yes"
    assert [record.reason.partition(":")[0] for record in bad] == ["unreadable HTML"]


def test_columns_of_lists_are_read_from_parquet(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"opinions": [[{"text": "a"}, {"text": "b"}]], "other": [1]}), tmp_path / "a.parquet")
    source = SourceConfig(name="a", path=str(tmp_path), text_field="opinions[*].text")
    (part,) = input_parts(source)
    assert [document.text for document in read_part(source, part, lambda _: None)] == ["a\n\nb"]


def test_plain_text_that_is_read_as_html_is_counted(tmp_path: Path) -> None:
    """Its lines are joined and `<b and c>` is lost, a comparison as a tag; pages and single lines lose nothing."""
    texts = [
        "If a <b and c> d, then e.",
        "One line.\nAnother one.",
        "<p>A page\nof lines",
        "<b>A</b> < c\n",
        "AT&T, a line",
    ]
    assert [is_plain(text) for text in texts] == [True, True, False, False, False]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    for kind, expected in (("html", {PLAIN_AS_HTML: 2}), ("plain", {})):
        source = SourceConfig.model_validate({"name": "a", "path": str(tmp_path / "a.jsonl"), "text_is": kind})
        left_out = Counter[str]()
        for part in input_parts(source):
            list(read_part(source, part, lambda record: None, left_out=left_out))
        assert left_out == expected
