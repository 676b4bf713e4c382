import io
import tracemalloc
from pathlib import Path

import pytest
from lxml import etree

from data.readers import xml_records as module
from data.readers.rows import MalformedError
from data.readers.xml_records import with_entities, words_of, xml_records

LAUGHS = b"<!DOCTYPE a [<!ENTITY l0 'lol'>%s]><a><r>&l9;</r></a>" % b"".join(
    b"<!ENTITY l%d '%s'>" % (level, b"&l%d;" % (level - 1) * 10) for level in range(1, 10)
)


def opened(content: bytes) -> io.BufferedReader:
    return io.BufferedReader(io.BytesIO(content))  # type: ignore[arg-type]


def texts(content: bytes) -> list[str]:
    found = []
    for element in xml_records(opened(content), ["r"]):
        with_entities(element)
        found.append(words_of(element))
    return found


def test_records_come_one_by_one_in_any_namespace() -> None:
    assert texts(b"<a><r>1</r><x xmlns='n'><r>2<b>3</b></r></x></a>") == ["1", "23"]


def test_memory_is_that_of_one_record() -> None:
    record = b"<r>" + b"<b>word</b>" * 100 + b"</r>"
    content = b"<a>" + record * 5_000 + b"</a>"
    tracemalloc.start()
    assert sum(1 for _ in xml_records(opened(content), ["r"])) == 5_000
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
    (root,) = {element.getroottree().getroot() for element in xml_records(opened(b"<a>" + record * 9 + b"</a>"), ["r"])}
    assert len(root) <= 1


def test_entities_do_not_expand_and_nothing_outside_is_read(tmp_path: Path) -> None:
    with pytest.raises((MalformedError, ValueError)):
        texts(LAUGHS)
    in_attribute = LAUGHS.replace(b"<r>&l9;</r>", b"<r x='&l9;'>a</r>")
    with pytest.raises(ValueError, match="broken XML"):
        texts(in_attribute)
    (tmp_path / "secret").write_text("secret")
    outside = f"<!DOCTYPE a [<!ENTITY e SYSTEM '{(tmp_path / 'secret').as_uri()}'>]><a><r>&e;</r></a>".encode()
    with pytest.raises(MalformedError, match="unknown entity: &e;"):
        texts(outside)
    dtd = f"<!DOCTYPE a SYSTEM '{(tmp_path / 'secret').as_uri()}'><a><r>1</r></a>".encode()
    assert texts(dtd) == ["1"]


def test_named_characters_are_those_of_html() -> None:
    public = b"<!DOCTYPE a PUBLIC '-//x' 'x.dtd'>"
    assert texts(public + b"<a><r>&alpha;<b>&nbsp;x</b>y&times;z</r></a>") == ["α xy×z"]
    with pytest.raises(MalformedError, match="unknown entity: &nosuch;"):
        texts(public + b"<a><r>&nosuch;</r></a>")


@pytest.mark.parametrize("content", [b"", b"<a><r>1</r>", b"<a><r>1</r><r></a>", b"<a>" * 300, b"\xff\xfe<a"])
def test_what_is_broken_is_damage(content: bytes) -> None:
    with pytest.raises(ValueError, match="broken XML: "):
        texts(content)


def test_a_record_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_XML_RECORD", 100_000)
    with pytest.raises(ValueError, match="a record goes on for more than 100,000 bytes"):
        texts(b"<a><r>" + b"<b>x</b>" * 100_000)
    assert len(texts(b"<a>" + (b"<r>" + b"x" * 50_000 + b"</r>") * 20 + b"</a>")) == 20


def test_what_stands_above_the_line_keeps_a_sign_of_it() -> None:
    text = "<p>10<sup>-<i>5</i></sup> 4<sup>th</sup> mc<sup>2</sup>7 x<sup>n m</sup>  end\n</p>"
    assert words_of(etree.fromstring(text)) == "10^-5 4th mc^{2}7 x^{n m} end"
    assert words_of(None) == ""
