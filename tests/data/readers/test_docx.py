import io
import zipfile

import pytest

from data.format_config import DocxConfig
from data.readers import docx as module
from data.readers.docx import _fields, read_docx
from data.readers.numbering import written
from data.readers.rows import LeftOut, MalformedError
from tests.data.readers.made import WORD, docx
from tests.data.readers.samples import DOCUMENT


def read(content: bytes, config: DocxConfig | None = None) -> object:
    file = io.BufferedReader(io.BytesIO(content))  # type: ignore[arg-type]
    *_, (line, found) = read_docx(file, "a.docx", config or DocxConfig())
    assert line == 1
    return found


MATH = "http://schemas.openxmlformats.org/officeDocument/2006/math"


def run(text: str, side: str = "") -> str:
    look = f'<w:rPr><w:vertAlign w:val="{side}script"/></w:rPr>' if side else ""
    return f'<w:r>{look}<w:t xml:space="preserve">{text}</w:t></w:r>'


def of(text: str) -> str:
    """A run of a formula."""
    return f"<m:r><m:t>{text}</m:t></m:r>"


TEXT = """Loan agreement

The rate is six percent.[1]

1. The lender lends.
  1(a) On the first day.
  1(b) In one sum.
2. The borrower pays.

Two that were parted are one.

Year | Sum
2019 | 1,234

[1] Of the principal."""


def test_a_document_with_all_that_is_read() -> None:
    assert read(DOCUMENT) == {"text": TEXT, "title": "Loan", "date": None, "date_kind": None}


@pytest.mark.parametrize(
    ("date", "day", "kind"),
    [("created", "2019-03-04", "published"), ("modified", "2019-03-04 to 2020-05-06", "revised")],
)
def test_dates_of_its_properties_count_where_they_are_asked_for(date: str, day: str, kind: str) -> None:
    found = read(DOCUMENT, DocxConfig.model_validate({"date": date}))
    assert isinstance(found, dict)
    assert (str(found["date"]), found["date_kind"]) == (day, kind)


def test_a_document_saved_on_a_day_may_be_from_any_day_before() -> None:
    """A day of making that is missing or behind that of the last saving says nothing."""
    for made in ("", "<a:created>2021-03-04T10:00:00Z</a:created>"):
        core = f'<p xmlns:a="a">{made}<a:modified>2020-05-06T10:00:00Z</a:modified></p>'
        found = read(docx("", {"docProps/core.xml": core}), DocxConfig(date="modified"))
        assert isinstance(found, dict)
        assert (str(found["date"]), found["date_kind"]) == ("until 2020-05-06", "revised")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<w:sdt><w:sdtContent><w:p><w:r><w:t>In a form</w:t></w:r></w:p></w:sdtContent></w:sdt>", "In a form"),
        ("<w:p><w:hyperlink><w:r><w:t>link</w:t></w:r></w:hyperlink><w:r><w:tab/><w:t>b</w:t></w:r></w:p>", "link\tb"),
        ("<w:p><w:r><w:t>a</w:t><w:br/><w:t>b</w:t><w:noBreakHyphen/></w:r></w:p>", "a\nb-"),
        ("<w:p><w:r><w:instrText>PAGE</w:instrText></w:r><w:r><w:t>1</w:t></w:r></w:p>", "1"),
        (
            "<w:p><w:moveFrom><w:r><w:t>old</w:t></w:r></w:moveFrom><w:moveTo><w:r><w:t>new</w:t></w:r></w:moveTo></w:p>",
            "new",
        ),
        (
            "<w:tbl><w:tr><w:tc><w:tbl><w:tr><w:tc><w:p><w:r><w:t>in</w:t></w:r></w:p></w:tc></w:tr></w:tbl></w:tc></w:tr></w:tbl>",
            "in",
        ),
        (
            '<w:p><w:r><w:t xml:space="preserve">5 </w:t><w:sym w:font="Symbol" w:char="F06D"/><w:t>g </w:t>'
            '<w:sym w:font="Symbol" w:char="F0B3"/><w:sym w:font="Wingdings" w:char="F0FE"/>'
            '<w:sym w:font="Webdings" w:char="F041"/><w:sym w:font="Arial" w:char="00B5"/><w:sym w:char="x"/></w:r>'
            '<w:r><w:rPr><w:rFonts w:ascii="Symbol"/></w:rPr><w:t>\uf061</w:t></w:r></w:p>',
            "5 μg ≥☑\ufffdµ\ufffdα",
        ),
        ("<w:p>" + run("2 x 10") + run("-", "super") + run("6", "super") + run(" m") + "</w:p>", "2 x 10^-6 m"),
        (
            "<w:p>" + run("10") + run("6", "super") + run("kg at the 4") + run("th", "super") + "</w:p>",
            "10^{6}kg at the 4th",
        ),
        ("<w:p>" + run("H") + run("2", "sub") + run("O, x") + run("1", "sub") + run("2") + "</w:p>", "H2O, x_{1}2"),
        (
            f"<w:p>{run('n=')}<m:oMath xmlns:m='{MATH}'><m:f><m:num>{of('1')}</m:num><m:den>{of('20')}</m:den></m:f>"
            f"{of('·')}<m:sSup><m:e>{of('10')}</m:e><m:sup>{of('6')}</m:sup></m:sSup>{of('+')}<m:rad><m:radPr/><m:deg/>"
            f"<m:e>{of('2')}</m:e></m:rad>{of('+')}<m:nary><m:naryPr><m:chr m:val='∑'/></m:naryPr>"
            f"<m:sub>{of('i')}</m:sub><m:sup/><m:e><m:sSub><m:e>{of('x')}</m:e><m:sub>{of('i')}</m:sub></m:sSub></m:e></m:nary>"
            f"<m:d><m:e>{of('a')}</m:e></m:d></m:oMath></w:p>",
            "n=(1)/(20)·10^{6}+sqrt(2)+∑_{i} x_{i}(a)",
        ),
        (
            "<w:p><w:r><w:fldChar w:fldCharType='begin'><w:ffData><w:checkBox><w:default w:val='0'/><w:checked/>"
            "</w:checkBox></w:ffData></w:fldChar></w:r><w:r><w:t xml:space='preserve'> Yes </w:t><w:fldChar><w:ffData>"
            "<w:checkBox><w:default w:val='0'/></w:checkBox></w:ffData></w:fldChar><w:t xml:space='preserve'> No </w:t>"
            "<w:fldChar><w:ffData>"
            "<w:ddList><w:result w:val='1'/><w:listEntry w:val='Alpha'/><w:listEntry w:val='Beta'/>"
            "</w:ddList></w:ffData></w:fldChar></w:r></w:p>",
            "☒ Yes ☐ No Beta",
        ),
        ("", ""),
    ],
)
def test_parts_of_documents(body: str, text: str) -> None:
    found = read(docx(body))
    assert isinstance(found, dict)
    assert found["text"] == text


def test_what_is_no_text_is_counted() -> None:
    drawings = "".join(
        f'<w:drawing><a:graphic xmlns:a="a"><a:graphicData uri="http://a.org/2006/{kind}"/></a:graphic></w:drawing>'
        for kind in ("diagram", "chart", "picture", "main")
    )
    body = f'<w:p><w:r>{drawings}<w:object><v:imagedata xmlns:v="v"/></w:object></w:r></w:p>'
    file = io.BufferedReader(io.BytesIO(docx(body)))  # type: ignore[arg-type]
    *left_out, _ = read_docx(file, "a.docx", DocxConfig())
    kinds = ["SmartArt diagram", "chart", "picture", "embedded object"]
    assert left_out == [(1, LeftOut(kind)) for kind in kinds]


def test_numbers_of_styles_count_too() -> None:
    space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    parts = {
        "word/styles.xml": f'<w:styles xmlns:w="{space}"><w:style w:styleId="A"><w:pPr><w:numPr><w:numId w:val="3"/>'
        '</w:numPr></w:pPr></w:style><w:style w:styleId="B"><w:basedOn w:val="A"/></w:style></w:styles>',
        "word/numbering.xml": f'<w:numbering xmlns:w="{space}"><w:abstractNum w:abstractNumId="7"><w:lvl w:ilvl="0">'
        '<w:start w:val="4"/><w:numFmt w:val="upperRoman"/><w:lvlText w:val="§ %1"/></w:lvl></w:abstractNum>'
        '<w:num w:numId="3"><w:abstractNumId w:val="7"/></w:num></w:numbering>',
    }
    item = '<w:p><w:pPr><w:pStyle w:val="B"/></w:pPr><w:r><w:t>Rent</w:t></w:r></w:p>'
    found = read(docx(item * 2, parts))
    assert isinstance(found, dict)
    assert found["text"] == "§ IV Rent\n§ V Rent"


@pytest.mark.parametrize(
    ("number", "kind", "text"),
    [
        (1, "lowerLetter", "a"),
        (27, "lowerLetter", "aa"),
        (1994, "upperRoman", "MCMXCIV"),
        (4, "decimal", "4"),
        (10**6, "lowerRoman", "1000000"),
    ],
)
def test_numbers_as_word_writes_them(number: int, kind: str, text: str) -> None:
    assert written(number, kind) == text


@pytest.mark.parametrize(
    ("look", "is_seen"),
    [
        ('<w:rStyle w:val="B"/>', False),
        ('<w:rStyle w:val="B"/><w:vanish w:val="0"/>', True),
        ('<w:rStyle w:val="C"/>', True),
        ("", True),
    ],
)
def test_text_is_hidden_by_its_style_too(look: str, is_seen: bool) -> None:
    styles = (
        f'<w:styles xmlns:w="{WORD}"><w:style w:styleId="B"><w:basedOn w:val="A"/></w:style><w:style w:styleId="A">'
        '<w:rPr><w:vanish/></w:rPr></w:style><w:style w:styleId="C"><w:basedOn w:val="A"/><w:rPr>'
        '<w:vanish w:val="false"/></w:rPr></w:style><w:style w:styleId="D"><w:basedOn w:val="D"/></w:style></w:styles>'
    )
    body = f"<w:p><w:r><w:rPr>{look}</w:rPr><w:t>said</w:t></w:r></w:p>"
    hidden = '<w:p><w:pPr><w:pStyle w:val="A"/></w:pPr><w:r><w:t>hidden</w:t></w:r></w:p>'
    found = read(docx(body + hidden, {"word/styles.xml": styles}))
    assert isinstance(found, dict)
    assert found["text"] == ("said" if is_seen else "")


def test_files_within_a_document_are_named() -> None:
    found = read(docx('<w:p><w:r><w:t>Before.</w:t></w:r></w:p><w:altChunk xmlns:r="r" r:id="a"/>'))
    assert isinstance(found, MalformedError)
    assert str(found).startswith("files within the document (altChunk): ")


def bomb() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b" " * 5_000)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04 cut", "unreadable document"),
        (b"\xd0\xcf\x11\xe0 old", "encrypted, or of Word before 2007"),
        (docx("").replace(b"word/document.xml", b"word/docxment.xml"), "no part word/document.xml"),
        (docx("<w:p>"), "unreadable document: word/document.xml"),
        (
            docx("", {"word/styles.xml": '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hostname">]><a>&b;</a>'}),
            "declares entities",
        ),
        (bomb(), "too large: word/document.xml unpacks to more than 4,000 bytes"),
    ],
)
def test_what_is_no_document_is_named(content: bytes, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_PART", 4_000)
    with pytest.raises(MalformedError, match=said):
        _fields(content, DocxConfig())
