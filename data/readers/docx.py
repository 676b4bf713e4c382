"""DOCX: what a Word document shows, with its lists, tables and notes as lines; deleted changes and comments are out."""

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from data.format_config import DocxConfig
from data.interval import Interval
from data.readers.dates import interval_of
from data.readers.isolated import isolated_whole
from data.readers.numbering import Numbering, attribute, local_name, numbering_of
from data.readers.rows import MalformedError, Rows

if TYPE_CHECKING:
    from lxml.etree import _Element

LONGEST_PART = 1 << 26  # bytes of a part as it is unpacked
MOST_PARTS = 20_000
# What nobody sees: changes that were deleted or moved away, codes of fields, what older programs are given instead.
UNSEEN = {"del", "moveFrom", "delText", "instrText", "delInstrText", "Fallback", "rPr", "pPr", "annotationRef"}
SIGNS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-", "softHyphen": ""}
OLD_OR_ENCRYPTED = b"\xd0\xcf\x11\xe0"


@dataclass
class _Document:
    """What is known while a document is read."""

    numbering: Numbering
    notes: dict[tuple[str, str], str]  # texts by kind and id
    shown: list[str] = field(default_factory=list)  # notes that were referred to, in this order


def read_docx(file: "io.BufferedReader[Any]", name: str, config: DocxConfig) -> Rows:
    """The document that a file is."""
    yield 1, isolated_whole(_fields, file, config)


def _fields(content: bytes, config: DocxConfig) -> dict[str, object]:
    if content.startswith(OLD_OR_ENCRYPTED):
        raise MalformedError("encrypted, or of Word before 2007: no DOCX")
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except zipfile.BadZipFile as error:
        raise MalformedError(f"unreadable document: {error}") from None
    with archive:
        if len(archive.namelist()) > MOST_PARTS:
            raise MalformedError(f"too large: more than {MOST_PARTS:,} parts")
        main = _main_part(archive)
        folder = PurePosixPath(main).parent
        parts = {
            name: _part(archive, str(folder / f"{name}.xml"))
            for name in ("numbering", "styles", "footnotes", "endnotes")
        }
        root, core = _part(archive, main), _part(archive, "docProps/core.xml")
    if root is None:
        raise MalformedError(f"unreadable document: no part {main}")
    document = _Document(numbering_of(parts["numbering"], parts["styles"]), {})
    for kind in ("footnote", "endnote"):
        notes = parts[f"{kind}s"]
        for note in notes if notes is not None else ():
            if attribute(note, "type") in ("", "normal"):
                document.notes[kind, attribute(note, "id")] = "\n".join(_blocks(note, document)).strip()
    text = "\n\n".join(filter(None, (block.strip("\n ") for block in _blocks(root, document))))
    if document.shown:
        text += "\n\n" + "\n".join(document.shown)
    said = {local_name(node): (node.text or "").strip() for node in core} if core is not None else {}
    created, modified = (interval_of(said.get(which, "")) for which in ("created", "modified"))
    date, kind = (modified, "revised") if config.date == "modified" else (created if config.date else None, "published")
    if kind == "revised" and date:  # what was saved then was written at any time from the first day on
        begun = created.first if created else None
        date = Interval(begun if begun and begun <= date.last else None, date.last)
    return {"text": text, "title": said.get("title") or None, "date": date, "date_kind": kind if date else None}


def _main_part(archive: zipfile.ZipFile) -> str:
    relations = _part(archive, "_rels/.rels")
    for relation in relations if relations is not None else ():
        if relation.get("Type", "").endswith("/officeDocument"):
            return str(relation.get("Target", "")).lstrip("/")
    return "word/document.xml"


def _part(archive: zipfile.ZipFile, name: str) -> "_Element | None":
    """A part as a tree, without entities; None where there is none. Raises MalformedError."""
    from lxml import etree

    try:
        with archive.open(name) as part:
            content = part.read(LONGEST_PART + 1)
    except KeyError:
        return None
    except RuntimeError:
        raise MalformedError("encrypted: it opens with a password") from None
    if len(content) > LONGEST_PART:
        raise MalformedError(f"too large: {name} unpacks to more than {LONGEST_PART:,} bytes")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise MalformedError(f"unreadable document: {name}: {error}") from None
    if root.getroottree().docinfo.doctype:
        raise MalformedError(f"unreadable document: {name} declares entities, which no Word document does")
    return root


def _find(node: "_Element", *path: str) -> "_Element | None":
    found: _Element | None = node
    for name in path:
        found = next((child for child in found if local_name(child) == name), None) if found is not None else None
    return found


def _blocks(node: "_Element", document: _Document) -> Iterator[str]:
    """The paragraphs and tables below a node; a paragraph whose end was deleted is one with the next."""
    begun = ""
    items: list[str] = []
    for child in node:
        kind = local_name(child)
        if kind == "p":
            text = begun + _paragraph(child, document)
            if _find(child, "pPr", "rPr", "del") is not None:
                begun = text
                continue
            begun = ""
            mark = document.numbering.mark(child) if text.strip() else ""
            if mark:
                items.append(mark + text.strip())
                continue
        elif kind == "tbl":
            text = "\n".join(_rows(child, document))
        elif kind in UNSEEN or not len(child):
            continue
        else:
            text = "\n\n".join(_blocks(child, document))
        if items and text.strip():
            yield "\n".join(items)
            items = []
        yield text
    yield "\n".join(items)
    yield begun


def _rows(table: "_Element", document: _Document) -> Iterator[str]:
    for row in table:
        if local_name(row) in ("sdt", "customXml", "sdtContent", "ins"):
            yield from _rows(row, document)
        elif local_name(row) == "tr" and _find(row, "trPr", "del") is None:
            cells = [" ".join(" ".join(_blocks(cell, document)).split()) for cell in _cells(row)]
            if any(cells):
                yield " | ".join(cells)


def _cells(row: "_Element") -> "Iterator[_Element]":
    for child in row:
        if local_name(child) == "tc":
            yield child
        elif local_name(child) in ("sdt", "sdtContent", "customXml"):
            yield from _cells(child)


def _paragraph(node: "_Element", document: _Document) -> str:
    """The text of a paragraph or of a part of it."""
    pieces: list[str] = []
    for child in node:
        kind = local_name(child)
        if kind in UNSEEN or (kind == "r" and _is_hidden(child)):
            continue
        if kind == "t":
            pieces.append(child.text or "")
        elif kind in SIGNS:
            pieces.append(SIGNS[kind])
        elif kind in ("footnoteReference", "endnoteReference"):
            text = document.notes.get((kind.removesuffix("Reference"), attribute(child, "id")), "")
            document.shown.append(f"[{len(document.shown) + 1}] {text}")
            pieces.append(f"[{len(document.shown)}]")
        elif kind == "txbxContent":
            pieces += ["\n", *_blocks(child, document), "\n"]
        else:
            pieces.append(_paragraph(child, document))
    return "".join(pieces)


def _is_hidden(run: "_Element") -> bool:
    hidden = _find(run, "rPr", "vanish")
    return hidden is not None and attribute(hidden, "val") not in ("0", "false", "off")
