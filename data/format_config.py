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
