"""Settings of the formats that publishers have: what of a file becomes a record, and which of its dates counts."""

from typing import Literal

from pydantic import BaseModel

Format = Literal[
    "jsonl", "parquet", "text", "edgar", "jats", "pubmed", "html", "pdf", "docx", "warc", "wet", "mbox"
]  # fmt: skip
"""What a source's files are. jsonl, parquet and text are described by the fields of a source."""


class EdgarConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What of a submission to the SEC's EDGAR becomes a record."""

    documents: tuple[str, ...] = ()
    """Types of documents that are wanted, as the submission writes them, in capitals or not, also as globs: 10-K,
    EX-99.1, EX-99*. Empty: every document that is text."""
    date: Literal["accepted", "filed"] = "accepted"
    """Which day counts: see docs/sources/edgar.md."""


class JatsConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What of an article in JATS becomes text."""

    references: Literal["leave_out", "keep"] = "leave_out"
    """Whether the list of references is text."""


class HtmlConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What of a web page becomes text, and which of its dates counts."""

    text: Literal["main", "whole"] = "main"
    """main leaves out what stands around a text: menus, banners, lists of links, comments, footers. whole keeps all
    that is shown, for pages that are nothing but text."""
    date: Literal["published", "revised"] = "published"
    """Of a page that says both when it was published and when it was revised: the first alone, or all days from the
    first to the last, as what it says may be of any of them."""


class WarcConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Which records of a WARC file become text, and which of their dates counts."""

    statuses: tuple[int, ...] = (200,)
    """The answers that are wanted, by their HTTP status."""
    text: Literal["main", "whole"] = "main"
    """Of a page: as for `html`."""
    date: Literal["published", "revised", "crawled"] = "published"
    """published and revised: the date that a page itself states, as for `html`, and where it states none the day of the
    crawl, as the last on which it can have become public. crawled: the day of the crawl, whatever the page states."""


class PdfConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Which date of a PDF counts."""

    date: Literal["created", "modified"] | None = None
    """The day on which the file says that it was made, or until which it was changed. None: no date, as that of a scan
    or of a new version is later than the text, and that of a template earlier."""


class DocxConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Which date of a Word document counts."""

    date: Literal["created", "modified"] | None = None
    """The day on which the document's properties say that it was made, or all days from then to the last change. None:
    no date, as a document that was made from another has that one's, and one that was opened and saved today's."""
