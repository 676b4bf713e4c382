"""Articles in JATS: title, abstracts and body as text; when they were first public, and up to which day corrected."""

import functools
import io
from pathlib import Path
from typing import Any

from lxml import etree

from data.format_config import JatsConfig
from data.interval import DateKind, Interval
from data.readers.html_text import lines_of
from data.readers.publication import first_public, hull, written_date
from data.readers.rows import MalformedError, Rows
from data.readers.xml_records import with_entities, words_of, xml_records

XLINK = "{http://www.w3.org/1999/xlink}href"
LICENSE_REF = "{http://www.niso.org/schemas/ali/1.0/}license_ref"
LONGEST_LICENCE = 300  # characters; more is no name of one
# What a date's pub-type or date-type says: of an issue; of what is not publication; of another version.
ISSUES = {"ppub", "collection", "issue", "epub-ppub", "ecorrected-ppub"}
NO_PUBLICATION = {"pmc-release", "nihms-submitted", "received", "accepted", "rev-recd", "retracted", "retraction"}
REVISIONS = {"corrected", "correction", "corr-pub", "update", "updated", "revised", "rev-pub", "new-version"}


def read_jats(file: "io.BufferedReader[Any]", name: str, settings: JatsConfig) -> Rows:
    """Every article of a file. Raises ValueError where it is damaged."""
    row = 0
    for row, element in enumerate(xml_records(file, ["article"]), start=1):
        try:
            _without_namespace(element)
            with_entities(element)
            yield row, _article(element, settings)
        except MalformedError as error:
            yield row, MalformedError(str(error), len(etree.tostring(element)))
    if not row:
        raise ValueError("it holds no <article>, which JATS is made of")


def _without_namespace(article: etree._Element) -> None:
    """Give JATS' elements the names that they have where JATS has no namespace, as it mostly has none."""
    namespace, found, _ = article.tag.rpartition("}")
    if found:
        for element in article.iter(f"{namespace}}}*"):
            element.tag = element.tag[len(namespace) + 1 :]


def _article(article: etree._Element, settings: JatsConfig) -> dict[str, object]:
    meta = article.find("front/article-meta")
    if meta is None:
        raise MalformedError("no article-meta: an article without front matter")
    ids = {found.get("pub-id-type"): words_of(found) for found in meta.iterfind("article-id")}
    pmc = next((ids[kind].removeprefix("PMC") for kind in ("pmc", "pmcid") if ids.get(kind)), "")
    date, kind = _date(meta)
    try:
        marked = str(_stylesheet()(article, references=etree.XSLT.strparam(settings.references)))
    except etree.XSLTError as error:
        raise MalformedError(f"unreadable article: {error}") from None
    named = [f"PMC{pmc}" if pmc else "", ids.get("doi", ""), ids.get("pmid", "")]
    fields: dict[str, object] = {
        "text": lines_of(marked),
        "id": next(filter(None, named), None),
        "title": words_of(meta.find("title-group/article-title")),
        "url": _address(pmc, ids),
        "licence": _licence(meta),
    }
    return fields | ({"date": date, "date_kind": kind} if date else {})


def _address(pmc: str, ids: dict[str, str]) -> str | None:
    if doi := ids.get("doi"):
        return f"https://doi.org/{doi}"
    if pmc:
        return f"https://www.ncbi.nlm.nih.gov/pmc/articles/PMC{pmc}/"
    return f"https://pubmed.ncbi.nlm.nih.gov/{ids['pmid']}/" if ids.get("pmid") else None


def _licence(meta: etree._Element) -> str | None:
    """The licence's address, else what is said of it."""
    for licence in meta.iterfind("permissions/license"):
        said = [licence.get(XLINK), *(words_of(reference) for reference in licence.iterfind(LICENSE_REF))]
        said += [link.get(XLINK) for link in licence.iter("ext-link") if "licenses/" in link.get(XLINK, "")]
        if found := next(filter(None, said), None) or words_of(licence):
            return found[:LONGEST_LICENCE]
    return next((words_of(found) for found in meta.iterfind(f"permissions/{LICENSE_REF}")), None)


@functools.cache
def _stylesheet() -> etree.XSLT:
    return etree.XSLT(etree.parse(Path(__file__).with_name("jats_text.xsl")))


def _date(meta: etree._Element) -> tuple[Interval | None, DateKind]:
    """When the article was first public; of one that was corrected on a known day, up to that day."""
    issues: list[etree._Element] = []
    online: list[etree._Element] = []
    releases: list[etree._Element] = []
    revisions: list[etree._Element] = []
    places = ("pub-date", "history/date", "pub-history/event/date", "pub-history/event/pub-date")
    for date in (found for place in places for found in meta.iterfind(place)):
        kinds = {date.get("pub-type", ""), date.get("date-type", "")} - {""}
        if (event := date.getparent()) is not None and (kind := event.get("event-type")):
            kinds.add(kind)
        if kinds & REVISIONS:
            revisions.append(date)
        elif date.tag == "pub-date" and kinds & NO_PUBLICATION:
            releases += [date] if "pmc-release" in kinds else []
        elif date.tag == "pub-date":
            (issues if kinds & ISSUES or date.get("publication-format") == "print" else online).append(date)
    first = first_public(_all_days(issues), _all_days(online))
    if first is None and (days := _all_days(releases)):  # it was public elsewhere before, nobody says when
        first = Interval(None, min(day.last for day in days))
    if first and (days := _all_days(revisions)):
        return hull([first, *days]), "revised"
    return first, "published"


def _all_days(dates: list[etree._Element]) -> list[Interval]:
    return [days for date in dates if (days := _days(date))]


def _days(date: etree._Element) -> Interval | None:
    parts = {child.tag: words_of(child) for child in date}
    if not parts.get("year"):
        if iso := date.get("iso-8601-date"):
            return written_date(iso)
        other = parts.get("string-date", "")
        return written_date(other) if other else None
    return written_date(parts["year"], parts.get("month", ""), parts.get("day", ""), parts.get("season", ""))
