"""Small PDFs, Word documents, records of crawls and letters, made for tests; no library of theirs is needed."""

import io
import zipfile
from collections.abc import Iterable, Sequence

Line = tuple[float, float, float, str]
"""From the left and from the bottom of the page and the size of the letters, in points; and the text."""


def pdf(pages: Sequence[Sequence[Line]], info: str = "", images: Iterable[int] = (), typed: str = "") -> bytes:
    """A PDF of pages of 612 × 792 points in Helvetica; those with a number in `images` have a picture too.

    `typed`: Widget or FreeText, of which each page has one with the words "Filled in".
    """
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", ""]
    if typed:
        shown = "BT /F1 10 Tf 2 4 Td (Filled in) Tj ET"
        objects.append(
            "<< /Type /XObject /Subtype /Form /BBox [0 0 200 20] /Resources << /Font << /F1 << /Type /Font /Subtype "
            f"/Type1 /BaseFont /Helvetica >> >> >> /Length {len(shown)} >>\nstream\n{shown}\nendstream"
        )
        objects.append(
            f"<< /Type /Annot /Subtype /{typed} /FT /Tx /T (a) /V (Filled in) /Contents (Filled in) /F 4 "
            "/DA (/F1 10 Tf) /Rect [72 400 272 420] /AP << /N 3 0 R >> >>"
        )
    kids = []
    for number, lines in enumerate(pages):
        content = "".join(
            f"BT /F1 {size} Tf {x} {y} Td ({text.translate(ESCAPES)}) Tj ET\n" for x, y, size, text in lines
        )
        if number in images:
            content += "q 200 0 0 200 100 300 cm BI /W 1 /H 1 /CS /G /BPC 8 ID \x80 EI Q\n"
        objects.append(f"<< /Length {len(content.encode('latin-1'))} >>\nstream\n{content}endstream")
        kids.append(f"{len(objects) + 1} 0 R")
        objects.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 << /Type /Font /Subtype "
            f"/Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >> >> >> /Contents {len(objects)} 0 R"
            + (" /Annots [4 0 R] >>" if typed else " >>")
        )
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>"
    objects.append(f"<< {info} >>")
    made, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        places.append(len(made))
        made += f"{number} 0 obj\n{content}\nendobj\n".encode("latin-1")
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    end = (
        f"trailer << /Size {len(objects) + 1} /Root 1 0 R /Info {len(objects)} 0 R >>\nstartxref\n{len(made)}\n%%EOF\n"
    )
    return made + f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{end}".encode("latin-1")


def column(x: float, top: float, texts: Iterable[str], size: float = 10) -> list[Line]:
    """Lines below one another."""
    return [(x, top - 12 * number, size, text) for number, text in enumerate(texts)]


ESCAPES = {ord(letter): f"\\{letter}" for letter in "()\\"}
WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def docx(body: str, parts: dict[str, str] | None = None) -> bytes:
    """A Word document with this content of its body, and more parts by their names."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "[Content_Types].xml",
            '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
        )
        archive.writestr(
            "word/document.xml",
            f'<?xml version="1.0"?><w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>',
        )
        for name, content in (parts or {}).items():
            archive.writestr(name, content)
    return file.getvalue()


def warc(*records: tuple[dict[str, str], bytes]) -> bytes:
    """Records of a crawl with these headers and contents."""
    made = b""
    for number, (headers, content) in enumerate(records):
        named = {
            "WARC-Type": "response",
            "WARC-Record-ID": f"<urn:uuid:00000000-0000-0000-0000-{number:012}>",
            "WARC-Date": "2021-06-01T23:59:59Z",
            "WARC-Target-URI": f"https://example.org/{number}",
            "Content-Type": "application/http; msgtype=response",
            "Content-Length": str(len(content)),
        } | headers
        lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        made += f"WARC/1.0\r\n{lines}\r\n".encode() + content + b"\r\n\r\n"
    return made


def response(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    """An HTTP response; the names of headers have _ for -."""
    named = {"Content_Type": "text/html; charset=utf-8"} | headers
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in named.items())
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body
