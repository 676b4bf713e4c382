"""A file of each format that has all that its reader knows, for tests that damage it."""

import gzip

from tests.data.readers.made import column, docx, pdf, response, warc
from tests.data.readers.pages import pages

LETTERS = b"""From jane@example.org Thu Jan  3 12:00:00 2002
Received: from a (a [192.0.2.1]) by b; Fri, 4 Jan 2002 01:10:00 +0200
Received: from c by a; Thu, 3 Jan 2002 23:00:00 +0000
Date: Thu, 3 Jan 2002 10:00:00 +0000
Message-ID: <first@example.org>
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= from the mill
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=B

--B
Content-Type: multipart/alternative; boundary=C

--C
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

The flour is sch=F6n.
>From here on we grind rye.
> When do you grind?
--C
Content-Type: text/html

<p>The flour is sch&ouml;n.</p>
--C--
--B
Content-Type: image/png
Content-Transfer-Encoding: base64

iVBORw0KGgo=
--B--

From joe@example.org Fri Jan  4 12:00:00 2002
Date: Fri, 4 Jan 2002 11:59:00 +0000
Subject: Sacks
Content-Type: text/html; charset=utf-8

<p>Send <b>three</b> sacks.</p><ul><li>rye<li>spelt</ul>
"""
PARAGRAPH = (
    '<w:p><w:pPr><w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="1"/></w:numPr></w:pPr>'
    "<w:r><w:t>{text}</w:t></w:r></w:p>"
)
SPACE = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
DOCUMENT = docx(
    "<w:p><w:r><w:t>Loan agreement</w:t></w:r></w:p>"
    '<w:p><w:r><w:t xml:space="preserve">The rate is </w:t></w:r><w:del><w:r><w:delText>five</w:delText></w:r></w:del>'
    '<w:ins><w:r><w:t>six</w:t></w:r></w:ins><w:r><w:t xml:space="preserve"> percent.</w:t></w:r>'
    '<w:r><w:footnoteReference w:id="2"/></w:r><w:r><w:rPr><w:vanish/></w:rPr><w:t>unseen</w:t></w:r></w:p>'
    + PARAGRAPH.format(level=0, text="The lender lends.")
    + PARAGRAPH.format(level=1, text="On the first day.")
    + PARAGRAPH.format(level=1, text="In one sum.")
    + PARAGRAPH.format(level=0, text="The borrower pays.")
    + "<w:p><w:pPr><w:rPr><w:del/></w:rPr></w:pPr><w:r><w:t>Two that were </w:t></w:r></w:p>"
    "<w:p><w:r><w:t>parted are one.</w:t></w:r></w:p>"
    "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>Year</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>Sum</w:t></w:r></w:p></w:tc></w:tr>"
    "<w:tr><w:tc><w:p><w:r><w:t>2019</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>1,234</w:t></w:r></w:p></w:tc></w:tr>"
    "<w:tr><w:trPr><w:del/></w:trPr><w:tc><w:p><w:r><w:t>deleted</w:t></w:r></w:p></w:tc></w:tr></w:tbl>",
    {
        "word/footnotes.xml": f'<w:footnotes xmlns:w="{SPACE}">'
        '<w:footnote w:type="separator" w:id="0"><w:p/></w:footnote>'
        '<w:footnote w:id="2"><w:p><w:r><w:t>Of the principal.</w:t></w:r></w:p></w:footnote></w:footnotes>',
        "word/numbering.xml": f'<w:numbering xmlns:w="{SPACE}"><w:abstractNum w:abstractNumId="0">'
        '<w:lvl w:ilvl="0"><w:numFmt w:val="decimal"/><w:lvlText w:val="%1."/></w:lvl>'
        '<w:lvl w:ilvl="1"><w:numFmt w:val="lowerLetter"/><w:lvlText w:val="%1(%2)"/></w:lvl>'
        '</w:abstractNum><w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num></w:numbering>',
        "docProps/core.xml": '<p xmlns:a="a"><a:title>Loan</a:title><a:created>2019-03-04T10:00:00Z</a:created>'
        "<a:modified>2020-05-06T10:00:00Z</a:modified></p>",
    },
)
LEFT = [
    "The canal was cut between 1794 and 1801 and it",
    "climbs sixty metres by 29 locks of which the sum-",
    "mit lies in a cutting at Thorne that was dug by",
    "hand through blue clay and has slipped some three",
    "times. Coal went down and limestone came up to it.",
    "In the best year this canal carried 212,000 tons.",
]
RIGHT = [line.replace("canal", "railway").replace("Coal", "Iron") for line in LEFT]
CANALS = ("canal", "river", "brook", "ditch")
TABLE = [(72, 500, 10, "Year"), (200, 500, 10, "Tons"), (72, 488, 10, "1846"), (200, 488, 10, "212,000")]
PAPER = pdf(
    [
        [(72, 770, 8, "Journal of Canals"), (300, 30, 8, f"{page}")]
        + ([(72, 730, 16, "The canal from Arden to Wick and what came after")] if page == 1 else [])
        + column(72, 690, [line.replace("canal", name) for line in LEFT])
        + column(330, 690, [line.replace("railway", f"{name} railway") for line in RIGHT])
        + (TABLE if page == 2 else [])
        for page, name in enumerate(CANALS, start=1)
    ]
    + [[], []],
    info="/Title (Canals) /CreationDate (D:20190314233000-05'00')",
    images=[4],
)
PAGES = pages()
CHUNKS = b"".join(
    b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in (b"<title>Chunks</title><p>One and", b" two.", b"")
)
CRAWL = warc(
    ({"WARC-Type": "warcinfo", "Content-Type": "application/warc-fields"}, b"software: x\r\n"),
    ({"WARC-Type": "request"}, b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"),
    ({}, response(PAGES[0].html.encode())),
    ({}, response(CHUNKS, Transfer_Encoding="chunked")),
    ({}, response(gzip.compress(b"<html><p>Packed words.", mtime=0), Content_Encoding="gzip")),
    ({}, response(b"nothing", "404 Not Found")),
    ({}, response(b"\x89PNG", Content_Type="image/png")),
    ({}, response(b"Plain words, sch\xf6n.", Content_Type="text/plain; charset=iso-8859-1")),
    ({"WARC-Type": "revisit"}, response(b"")),
    ({"WARC-Truncated": "length"}, response(b"<html><p>Cut")),
)
SAMPLES = {
    "page.html": PAGES[4].html.encode(),
    "paper.pdf": PAPER,
    "loan.docx": DOCUMENT,
    "crawl.warc": CRAWL,
    "letters.mbox": LETTERS,
}
