"""XML files record by record, however long they are: nothing outside the file is read, and no entity expands."""

import html
import io
from collections.abc import Iterator, Sequence
from typing import Any

from lxml import etree

from data.readers.rows import MalformedError

# Bytes from the end of one record to that of the next, beyond which the file is given up: its tree takes about 10 times
# as much memory. libxml2 itself refuses elements more than 256 deep, texts above 10 MB and entities that multiply.
LONGEST_XML_RECORD = 1 << 25


ORDINALS = {"st", "nd", "rd", "th", "®", "™", "SM", "TM"}  # of what stands above the line, what is read in it


class _Bounded:
    """A file of which only so many bytes are read until someone has said that a record has ended."""

    def __init__(self, file: "io.BufferedReader[Any]") -> None:
        self.file, self.left = file, LONGEST_XML_RECORD

    def read(self, size: int) -> bytes:
        if self.left < 0:
            raise ValueError(f"a record goes on for more than {LONGEST_XML_RECORD:,} bytes")
        content = self.file.read(size)
        self.left -= len(content)
        return content


def xml_records(file: "io.BufferedReader[Any]", tags: Sequence[str]) -> Iterator[etree._Element]:
    """The elements of these names, in any namespace, each whole, and gone when the next one is asked for.

    Raises:
        ValueError: the file is no XML from some place on, or a record is too long.
    """
    bounded = _Bounded(file)
    events = etree.iterparse(
        bounded,
        events=("end",),
        tag=[f"{{*}}{tag}" for tag in tags],
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        for _, element in events:
            yield element
            bounded.left = LONGEST_XML_RECORD
            element.clear()
            parent = element.getparent()
            while parent is not None and parent[0] is not element:
                del parent[0]
    except etree.XMLSyntaxError as error:
        raise ValueError(f"broken XML: {error.msg}") from None


def with_entities(element: etree._Element) -> None:
    """Put characters in the place of an element's references to named ones, which a DTD elsewhere defines.

    The names are those of HTML, which are ISO 8879's and MathML's too. Raises MalformedError for one that is none.
    """
    for entity in list(element.iter(etree.Entity)):
        character = html.unescape(entity.text)
        if character == entity.text:
            raise MalformedError(f"unknown entity: {entity.text:.40}")
        text, parent, before = character + (entity.tail or ""), entity.getparent(), entity.getprevious()
        if before is None:
            parent.text = (parent.text or "") + text
        else:
            before.tail = (before.tail or "") + text
        entity.tail = None
        parent.remove(entity)


def words_of(element: etree._Element | None) -> str:
    """The text of an element in one line; what stands above the line keeps a sign of it: 10^5 is no 105."""
    if element is None:
        return ""
    if len(element):
        for raised in element.iter("sup"):
            text = " ".join("".join(raised.itertext()).split())
            if text and text not in ORDINALS:
                for inner in list(raised):
                    raised.remove(inner)
                is_parted = " " in text or (raised.tail or "")[:1].isalnum()
                raised.text = f"^{{{text}}}" if is_parted else f"^{text}"
        return " ".join("".join(element.itertext()).split())
    return " ".join((element.text or "").split())
