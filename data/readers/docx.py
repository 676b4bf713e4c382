"""DOCX: what a Word document shows, with its lists, tables and notes as lines; deleted changes and comments are out."""

import io
import re
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
from data.readers.rows import LeftOut, MalformedError, Rows

if TYPE_CHECKING:
    from lxml.etree import _Element

LONGEST_PART = 1 << 26  # bytes of a part as it is unpacked
MOST_PARTS = 20_000
OFF = ("0", "false", "off")
MOST_BASES = 16  # styles that a style is based on, one on another
# What nobody sees: changes that were deleted or moved away, codes of fields, what older programs are given instead.
UNSEEN = {"del", "moveFrom", "delText", "instrText", "delInstrText", "Fallback", "rPr", "pPr", "annotationRef"}
SIGNS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-", "softHyphen": ""}
# What fonts of signs have at a place, by https://www.unicode.org/Public/MAPPINGS/VENDORS/ADOBE/symbol.txt and what
# Wingdings shows; a sign that is not here is U+FFFD.
SYMBOL = dict(enumerate(" !∀#∃%&∋()∗+,−./0123456789:;<=>?≅ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ[∴]⊥_", 0x20))
SYMBOL |= dict(enumerate("αβχδεφγηιϕκλμνοπθρστυϖωξψζ{|}∼", 0x61))
SYMBOL |= dict(enumerate("€ϒ′≤⁄∞ƒ♣♦♥♠↔←↑→↓°±″≥×∝∂•÷≠≡≈…", 0xA0))
SYMBOL |= dict(enumerate("ℵℑℜ℘⊗⊕∅∩∪⊃⊇⊄⊂⊆∈∉∠∇®©™∏√⋅¬∧∨⇔⇐⇑⇒⇓◊⟨®©™∑", 0xC0)) | {0xF1: "⟩", 0xF2: "∫"}
WINGDINGS = dict(zip(bytes.fromhex("6c6e6f71769fa7a8d8dfe0e1e2e8fbfcfdfe"), "●■□❑❖•▪◻➢←→↑↓➔✗✓☒☑", strict=True))
WINGDINGS_2 = dict(zip(bytes.fromhex("4f505253 54a3"), "✗✓☑☒☒☐", strict=True))
FONTS = {"symbol": SYMBOL, "wingdings": WINGDINGS, "wingdings 2": WINGDINGS_2}
OF_FONTS = re.compile("[\uf020-\uf0ff]")  # where programs put the places of such a font
# Around what stands above and below the line; Unicode has them for such use, and no text.
ABOVE, BELOW = ("\ufdd5", "\ufdd6"), ("\ufdd7", "\ufdd8")
RAISED = re.compile("([\ufdd5\ufdd7])([^\ufdd5-\ufdd8]*)[\ufdd6\ufdd8](?=(.?))", re.DOTALL)
AS_WORDS = {"", "st", "nd", "rd", "th", "®", "™", "SM", "TM"}
# What is not text, by the end of the name that a drawing has for its kind.
DRAWN = {"diagram": "SmartArt diagram", "chart": "chart", "picture": "picture"}
OLD_OR_ENCRYPTED = b"\xd0\xcf\x11\xe0"


@dataclass
class _Document:
    """What is known while a document is read."""

    numbering: Numbering
    notes: dict[tuple[str, str], str]  # texts by kind and id
    hidden: dict[str, bool]  # by style, where it or what it is based on says whether its text is hidden
    shown: list[str] = field(default_factory=list)  # notes that were referred to, in this order


def read_docx(file: "io.BufferedReader[Any]", name: str, config: DocxConfig) -> Rows:
    """The document that a file is, and what is in it that is no text."""
    found = isolated_whole(_fields, file, config)
    if isinstance(found, MalformedError):
        yield 1, found
        return
    fields, left_out = found
    for kind in left_out:
        yield 1, LeftOut(kind)
    yield 1, fields


def _fields(content: bytes, config: DocxConfig) -> tuple[dict[str, object], list[str]]:
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
    if any(local_name(node) == "altChunk" for node in root.iter()):
        raise MalformedError("files within the document (altChunk): save it in Word, which makes them part of its text")
    document = _Document(numbering_of(parts["numbering"], parts["styles"]), {}, _hidden_styles(parts["styles"]))
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
    fields = {"text": text, "title": said.get("title") or None, "date": date, "date_kind": kind if date else None}
    return fields, list(_left_out(root))


def _left_out(node: "_Element") -> Iterator[str]:
    """The kinds of what a document shows that is no text of its own."""
    for child in node:
        kind = local_name(child)
        drawn = DRAWN.get(child.get("uri", "").rpartition("/")[2]) if kind == "graphicData" else None
        if kind == "object":
            yield "embedded object"
        elif drawn or kind == "imagedata":
            yield drawn or "picture"
        elif kind not in UNSEEN:
            yield from _left_out(child)


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
    """The text of a paragraph, in which what stands above the line keeps a sign of it: 10^6 is no 106."""
    text = _inner(node, document).replace("".join(reversed(ABOVE)), "").replace("".join(reversed(BELOW)), "")
    return re.sub("[\ufdd5-\ufdd8]", "", RAISED.sub(_marked, text))


def _marked(found: re.Match[str]) -> str:
    """As html_text.xsl has it: all but ordinals above the line, and below it what a digit follows."""
    side, inner, following = found.groups()
    said = inner.strip()
    if said in AS_WORDS or (side == BELOW[0] and not following.isdecimal()):
        return inner
    if side == BELOW[0]:
        return inner.replace(said, f"_{{{said}}}")
    is_long = " " in said or (following.isalnum() and inner == inner.rstrip())
    return inner.replace(said, f"^{{{said}}}" if is_long else f"^{said}")


def _inner(node: "_Element", document: _Document) -> str:
    """The text of a part of a paragraph."""
    pieces: list[str] = []
    for child in node:
        kind = local_name(child)
        if kind in UNSEEN or (kind == "r" and _is_hidden(child, document)):
            continue
        if kind == "t":
            pieces.append(_with_signs(node, child.text or ""))
        elif kind == "sym":
            pieces.append(_sign(attribute(child, "font"), attribute(child, "char")))
        elif str(child.tag).partition("}")[0].endswith("/math"):
            pieces.append(_formula(child, document))
        elif kind in SIGNS:
            pieces.append(SIGNS[kind])
        elif kind in ("footnoteReference", "endnoteReference"):
            text = document.notes.get((kind.removesuffix("Reference"), attribute(child, "id")), "")
            document.shown.append(f"[{len(document.shown) + 1}] {text}")
            pieces.append(f"[{len(document.shown)}]")
        elif kind == "ffData":
            pieces.append(_chosen(child))
        elif kind == "txbxContent":
            pieces += ["\n", *_blocks(child, document), "\n"]
        elif kind == "r" and (around := _side(child)):
            pieces += [around[0], _inner(child, document), around[1]]
        else:
            pieces.append(_inner(child, document))
    return "".join(pieces)


def _chosen(field: "_Element") -> str:
    """What a box or a list of a form shows, which, unlike typed text, stands in no run."""
    if (box := _find(field, "checkBox")) is not None:
        state = next((found for name in ("checked", "default") if (found := _find(box, name)) is not None), None)
        return "☐" if state is None or attribute(state, "val") in OFF else "☒"
    if (choices := _find(field, "ddList")) is not None:
        entries = [attribute(entry, "val") for entry in choices if local_name(entry) == "listEntry"]
        result = next((found for name in ("result", "default") if (found := _find(choices, name)) is not None), None)
        place = attribute(result, "val") if result is not None else "0"
        return "".join(entries[int(place) : int(place) + 1]) if place.isdecimal() else ""
    return ""


def _side(run: "_Element") -> tuple[str, str] | None:
    """The signs around a run that stands above or below the line; a note's number has a sign of its own."""
    side = _find(run, "rPr", "vertAlign")
    if side is None or _find(run, "footnoteReference") is not None or _find(run, "endnoteReference") is not None:
        return None
    return {"superscript": ABOVE, "subscript": BELOW}.get(attribute(side, "val"))


def _with_signs(run: "_Element", text: str) -> str:
    if not OF_FONTS.search(text):
        return text
    fonts = _find(run, "rPr", "rFonts")
    font = (attribute(fonts, "ascii") or attribute(fonts, "hAnsi")) if fonts is not None else ""
    return OF_FONTS.sub(lambda found: _sign(font, f"{ord(found[0]):x}"), text)


def _sign(font: str, written: str) -> str:
    """The character that a font of signs shows at a place in hexadecimal digits."""
    try:
        place = int(written, 16)
    except ValueError:
        return "\ufffd"
    if table := FONTS.get(font.lower()):
        return table.get(place - 0xF000 if place >= 0xF000 else place, "\ufffd")
    is_sign = 0x20 <= place < 0xD800 or 0xF8FF < place < 0xFDD0
    return chr(place) if is_sign else "\ufffd"


def _formula(node: "_Element", document: _Document) -> str:
    """A piece of Word's formulae (ECMA-376, part 1, 22.1) in a line, as jats_text.xsl writes those of MathML."""
    kind = local_name(node)
    found: dict[str, list[str]] = {}
    for child in node:
        found.setdefault(local_name(child), []).append(_inner(child, document))
    of = {name: texts[0] for name, texts in found.items()}
    base, below, above = of.get("e", ""), of.get("sub", ""), of.get("sup", "")
    limits = (f"_{{{below}}}" if below else "") + (f"^{{{above}}}" if above else "")
    match kind:
        case "f":
            return f"({of.get('num', '')})/({of.get('den', '')})"
        case "sSup" | "sSub" | "sSubSup":
            return base + limits
        case "sPre":
            return limits + base
        case "limLow" | "limUpp":
            return f"{base}{'_' if kind == 'limLow' else '^'}{{{of.get('lim', '')}}}"
        case "rad":
            return f"root({of['deg']}, {base})" if of.get("deg") else f"sqrt({base})"
        case "nary":
            return f"{_set(node, 'chr', '∫')}{limits} {base}"
        case "d":
            inner = _set(node, "sepChr", "|").join(found.get("e", []))
            return f"{_set(node, 'begChr', '(')}{inner}{_set(node, 'endChr', ')')}"
        case "acc":
            return base + _set(node, "chr", "\u0302")
        case "bar":
            return base + ("\u0304" if _set(node, "pos", "bot") == "top" else "\u0332")
        case "eqArr":
            return "; ".join(found.get("e", []))
        case "m":
            return "; ".join(found.get("mr", []))
        case "mr":
            return ", ".join(found.get("e", []))
        case "func":
            return f"{of.get('fName', '')} {base}"
        case "t":
            return node.text or ""
    return "" if kind.endswith("Pr") else _inner(node, document)


def _set(node: "_Element", name: str, default: str) -> str:
    """What a piece of a formula sets in its properties, which may be nothing at all."""
    found = _find(node, f"{local_name(node)}Pr", name)
    return default if found is None else attribute(found, "val")


def _is_hidden(run: "_Element", document: _Document) -> bool:
    """Whether a run says that it is hidden, else its style, else its paragraph's."""
    if (vanish := _find(run, "rPr", "vanish")) is not None:
        return attribute(vanish, "val") not in OFF
    paragraph = next((node for node in run.iterancestors() if local_name(node) == "p"), None)
    of_run = _find(run, "rPr", "rStyle")
    of_paragraph = _find(paragraph, "pPr", "pStyle") if paragraph is not None else None
    styles = [attribute(style, "val") for style in (of_run, of_paragraph) if style is not None]
    return next((document.hidden[style] for style in styles if style in document.hidden), False)


def _hidden_styles(styles: "_Element | None") -> dict[str, bool]:
    """What styles say of whether text is hidden, with those that they are based on."""
    said: dict[str, bool] = {}
    bases: dict[str, str] = {}
    for style in styles if styles is not None else ():
        name, base, vanish = attribute(style, "styleId"), _find(style, "basedOn"), _find(style, "rPr", "vanish")
        if vanish is not None:
            said[name] = attribute(vanish, "val") not in OFF
        elif base is not None:
            bases[name] = attribute(base, "val")
    for _ in range(MOST_BASES):
        said |= {name: said[base] for name, base in bases.items() if base in said and name not in said}
    return said
