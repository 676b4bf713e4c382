import random

import pytest
from lxml import etree

from data.short_tags import shortened
from tests.data.readers.pages import pages


@pytest.mark.parametrize(
    ("page", "short"),
    [
        ("", ""),
        ("a < b <3 <", "a < b <3 <"),
        ("<TD style='width:1%' nowrap>1</TD >", "<TD>1</TD >"),
        ("<td title='a>b' style=x/>c", "<td>c"),  # the slash is of the value
        ('<td title="a\'>b"/>c<br/><br / >', "<td />c<br /><br>"),
        ("<p style='color:red; Display : NONE'>", "<p hidden>"),
        ("<p style=visibility:hidden hidden>", "<p hidden>"),
        ("<p title='display:none' data-hidden class=hidden style='display:nones'>", "<p hidden>"),
        ("<p title='display:none' data-hidden class=hidden style='display-x:none;isdisplay:block'>", "<p>"),
        ("<ix:header id=a><x></ix:header>", "<ix:header hidden><x></ix:header>"),
        ("<img src=a alt = 'b' ALT=c><p alt=d>", "<img alt = 'b'><p>"),
        ("<span class=katex-html id='e'f=g>", "<span class=katex-html id='e'>"),
        ("<!-- <p a=b> --><p a=b><!--><p a=b><!---><p a=b> --!>", "<!-- <p a=b> --><p><!--><p><!---><p> --!>"),
        ("<!-- <p a=b> --!><p a=b><!-- <p a=b>", "<!-- <p a=b> --!><p><!-- <p a=b>"),
        ('<script a=b type=math/tex>a<b c="</SCRIPT><p a=b>', '<script type=math/tex>a<b c="</SCRIPT><p>'),
        ("<title a>b<c d=e></titles></title ><p a=b>", "<title>b<c d=e></titles></title ><p>"),
        ("<style><p a=b>", "<style><p a=b>"),
        ('<a href="b>text<p>more', "<a>text<p>more"),  # else all that follows would be lost
        ("<p a", "<p>"),
    ],
)
def test_what_stays_of_tags(page: str, short: str) -> None:
    assert shortened(page.encode()).decode() == short


def test_a_parser_finds_the_same_elements_and_texts() -> None:
    parts = (
        *("<p>", "<p a='>' style=\"color: 'x'\">", "<div id=a/b>", "<div/>", "<td nowrap/>", "</td>", "</p>", "<br/>"),
        *("</div >", "<!-- <p> -->", "<title>", "</title>", "<script a>", "</script>", "<b", "&lt;p a=b&gt;", "\n"),
        *("text ", "<", ">"),
    )
    chosen = random.Random(1)
    made = ["x" + "".join(chosen.choices(parts, k=12)) + " >x" for _ in range(2_000)]
    for page in [*made, *(page.html for page in pages())]:
        assert _read(shortened(page.encode())) == _read(page.encode()), page


def _read(page: bytes) -> list[tuple[object, ...]]:
    root = etree.fromstring(page, etree.HTMLParser(encoding="utf-8"))
    return [(element.tag, element.text, element.tail) for element in root.iter()]
