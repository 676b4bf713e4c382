"""Citations of PubMed's baseline and update files: title and abstract, a citation at a time."""

import io
from typing import Any

from lxml import etree

from data.interval import DateKind, Interval
from data.readers.publication import first_public, hull, written_date
from data.readers.rows import LeftOut, MalformedError, Rows
from data.readers.xml_records import with_entities, words_of, xml_records

CITATIONS = ("PubmedArticle", "PubmedBookArticle", "DeleteCitation")


def read_pubmed(file: "io.BufferedReader[Any]", name: str) -> Rows:
    """Every citation of a file; those that it says to delete are left out. Raises ValueError where it is damaged."""
    row = 0
    for element in xml_records(file, CITATIONS):
        if element.tag == "DeleteCitation":
            for _ in element.iter("PMID"):
                row += 1
                yield row, LeftOut("DeleteCitation")
            continue
        row += 1
        try:
            with_entities(element)
            yield row, _citation(element)
        except MalformedError as error:
            yield row, MalformedError(str(error), len(etree.tostring(element)))
    if not row:
        raise ValueError(f"it holds no {CITATIONS[0]}, of which PubMed's files are made")


def _citation(element: etree._Element) -> dict[str, object]:
    body = _children(element[0]) if len(element) else {}  # of MedlineCitation or BookDocument
    article = _children(body["Article"][0]) if "Article" in body else body
    if "PMID" not in body or not (pmid := words_of(body["PMID"][0])):
        raise MalformedError("no PMID: a citation without its number")
    book = _children(article["Book"][0]) if "Book" in article else {}
    titles = [words_of(found[0]) for found in (article.get("ArticleTitle"), book.get("BookTitle")) if found]
    title = next(filter(None, titles), "")
    parts = [_labelled(part) for abstract in article.get("Abstract", ()) for part in abstract.iter("AbstractText")]
    version = body["PMID"][0].get("Version", "1")
    is_later = version.isdecimal() and int(version) > 1
    # A book's chapters are revised in place, without another version; of papers it is the day of the last indexing.
    revised = is_later or ("Article" not in body and "DateRevised" in body)
    issue = article["Journal"][0].findall("JournalIssue/PubDate") if "Journal" in article else book.get("PubDate", [])
    online = article.get("ArticleDate", []) + article.get("ContributionDate", [])
    date = first_public([*filter(None, map(_days, issue))], [*filter(None, map(_days, online))])
    kind: DateKind = "revised" if revised else "published"
    if revised and date:  # the text is of the last version, and may have been the first's
        latest = [*filter(None, map(_days, body.get("DateRevised", ())))]
        date = hull([date, *latest]) if latest else None
    fields: dict[str, object] = {
        "text": "\n\n".join(filter(None, [title, *parts])),
        "id": f"{pmid}.{version}" if is_later else pmid,
        "title": title,
        "url": f"https://pubmed.ncbi.nlm.nih.gov/{pmid}/",
    }
    return fields | ({"date": date, "date_kind": kind} if date else {})


def _children(element: etree._Element) -> dict[str, list[etree._Element]]:
    """The elements directly within another, by name."""
    found: dict[str, list[etree._Element]] = {}
    for child in element:
        found.setdefault(child.tag, []).append(child)
    return found


def _labelled(part: etree._Element) -> str:
    text, label = words_of(part), part.get("Label")
    return f"{label}: {text}" if label and text else text


def _days(date: etree._Element) -> Interval | None:
    parts = {child.tag: words_of(child) for child in date}
    if not any(parts.values()):
        return None
    other = " ".join(filter(None, (parts.get("Season"), parts.get("MedlineDate"))))
    return written_date(parts.get("Year", ""), parts.get("Month", ""), parts.get("Day", ""), other)
