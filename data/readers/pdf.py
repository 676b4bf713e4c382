"""PDF: the text layer of a document, as it is read; pages that have none are counted, never silently empty."""

import io
import re
from typing import Any

from data.format_config import PdfConfig
from data.interval import Interval
from data.readers.dates import interval_of
from data.readers.isolated import isolated_whole
from data.readers.page_layout import Line, Piece, lines_of, text_of
from data.readers.rows import LeftOut, MalformedError, Rows

MOST_PAGES = 20_000
MOST_PIECES = 20_000  # of a page
WITHOUT_TEXT = "page without text: it needs OCR"
BLANK = "blank page"
ATTACHED = "attached file"
# What fonts give that do not say which letters their signs are: no letters, but private ones, controls, or U+FFFD.
NO_LETTERS = re.compile("[\ufffd\ue000-\uf8ff\x00\x01\x03-\x08\x0e-\x1f]")
MOST_WITHOUT_LETTERS = 0.3  # of a page's text
# What stands on the page of a file whose text lies elsewhere: in a form of XFA, or in files that it holds.
STAND_INS = re.compile(
    r"If this message is not eventually replaced with the proper contents of the document"
    r"|For the best experience, open this PDF portfolio in"
)
LONGEST_STAND_IN = 3_000  # characters
FIRST_YEAR = 1993  # of PDF; Distiller wrote 2000 as 19100, which would be 1910
DATE = re.compile(r"(?:D:)?(\d{4})(\d\d)?(\d\d)?(?:(\d\d)(\d\d)(\d\d)?)?(?:Z|([+-])(\d\d)'?(\d\d)?)?")


def read_pdf(file: "io.BufferedReader[Any]", name: str, config: PdfConfig) -> Rows:
    """The document that a file is, and its pages without text. Raises DataError where its library is not installed."""
    found = isolated_whole(_document, file, config)
    if isinstance(found, MalformedError):
        yield 1, found
        return
    fields, pages = found
    for kind, count in pages.items():
        yield 1, LeftOut(kind, count)
    yield 1, fields


def _document(content: bytes, config: PdfConfig) -> tuple[dict[str, object], dict[str, int]]:
    """The fields of a document, and how many of its pages and files are left out, by kind. Raises MalformedError."""
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(content)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower() or "security" in str(error).lower():
            raise MalformedError("encrypted: it opens with a password") from None
        raise MalformedError(f"unreadable document: {error}") from None
    try:
        if len(document) > MOST_PAGES:
            raise MalformedError(f"too large: {len(document):,} pages, above {MOST_PAGES:,}")
        said = document.get_metadata_dict()
        attached = pypdfium2.raw.FPDFDoc_GetAttachmentCount(document)
        pages = [_page(document, number) for number in range(len(document))]
    finally:
        document.close()
    left_out = {kind: count for kind in (WITHOUT_TEXT, BLANK) if (count := pages.count(kind))}
    if attached:
        left_out[ATTACHED] = attached
    with_text = [page for page in pages if not isinstance(page, str)]
    if not with_text:
        if WITHOUT_TEXT in left_out:
            raise MalformedError(f"needs OCR: none of its {len(pages):,} pages has text")
        raise MalformedError(f"empty document: its {len(pages):,} pages show nothing")
    text = text_of(with_text)
    if len(text) <= LONGEST_STAND_IN and STAND_INS.search(" ".join(text.split())):
        raise MalformedError("text elsewhere: its page says that a form (XFA) or a portfolio needs Acrobat")
    date = date_of(said.get("CreationDate" if config.date == "created" else "ModDate", "")) if config.date else None
    if date and config.date == "modified":  # the file may have been made of a text of any day before
        date = Interval(None, date.last)
    return {
        "text": text,
        "title": said.get("Title") or None,
        "date": date,
        "date_kind": ("published" if config.date == "created" else "revised") if date else None,
    }, left_out


def _page(document: Any, number: int) -> list[Line] | str:
    """The lines of a page, or which kind of page without text it is."""
    import pypdfium2

    try:
        page = document[number]
    except pypdfium2.PdfiumError:
        raise MalformedError(f"unreadable document: page {number + 1:,} cannot be read") from None
    if _has_typed(page):
        pypdfium2.raw.FPDFPage_Flatten(page, pypdfium2.raw.FLAT_NORMALDISPLAY)
        page.close()
        page = document[number]
    text_page = page.get_textpage()
    try:
        count = text_page.count_rects()
        if count > MOST_PIECES:
            raise MalformedError(f"too large: page {number + 1:,} has {count:,} pieces of text, above {MOST_PIECES:,}")
        boxes = [text_page.get_rect(index) for index in range(count)]
        pieces = [
            Piece(box[0], box[1], box[2], box[3], text_page.get_text_bounded(*box).replace("\r\n", " "))
            for box in boxes
        ]
        pieces = [piece for piece in pieces if piece.text.strip()]
        letters = "".join(piece.text for piece in pieces)
        if pieces and len(NO_LETTERS.findall(letters)) <= MOST_WITHOUT_LETTERS * len(letters):
            return lines_of(pieces)
        return WITHOUT_TEXT if pieces or any(True for _ in page.get_objects(max_depth=2)) else BLANK
    finally:
        text_page.close()
        page.close()


def _has_typed(page: Any) -> bool:
    """Whether fields of a form or typed text lie on a page: its own text has them once they are made part of it."""
    import pypdfium2.raw as pdfium

    for index in range(min(pdfium.FPDFPage_GetAnnotCount(page), MOST_PIECES)):
        annotation = pdfium.FPDFPage_GetAnnot(page, index)
        kind = pdfium.FPDFAnnot_GetSubtype(annotation) if annotation else None
        pdfium.FPDFPage_CloseAnnot(annotation)
        if kind in (pdfium.FPDF_ANNOT_WIDGET, pdfium.FPDF_ANNOT_FREETEXT):
            return True
    return False


def date_of(written: str) -> Interval | None:
    """The day of a date of PDF, such as D:20190314120000+01'00'; in UTC where it has a zone.

    None of before there was PDF.
    """
    found = DATE.match(written)
    if not found or int(found[1]) < FIRST_YEAR:
        return None
    year, month, day, hour, minute, _, sign, hours, minutes = found.groups()
    if not day:
        return interval_of("-".join(filter(None, (year, month))))
    zone = f"{sign}{hours}:{minutes or '00'}" if sign else ""
    return interval_of(f"{year}-{month}-{day}" + (f"T{hour}:{minute}:00{zone}" if hour and minute else ""))
