"""HTML: the main text of a page, its title, address and licence, and the day of which its metadata say published."""

import io
import json
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from data.format_config import HtmlConfig
from data.interval import Interval
from data.readers.dates import hull, interval_of
from data.readers.encodings import declared_encoding, decoded
from data.readers.html_text import html_text
from data.readers.isolated import isolated
from data.readers.main_text import shown
from data.readers.rows import LeftOut, MalformedError, Rows

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser

LONGEST_PAGE = 1 << 26  # bytes
# Names of metadata, in small letters.
PUBLISHED = re.compile(
    r"article[:.]published(?:_time)?|(?:publication_?|publish-?|pub|dcterms\.|dc\.|citation_publication_|citation_online_"
    r"|sailthru\.|parsely-pub-)?date|(?:dc\.date|dcterms)\.issued|datepublished"
)
REVISED = re.compile(
    r"article:modified_time|og:updated_time|last-modified|dcterms\.modified|dc\.date\.modified|datemodified"
)
MOST_OBJECTS = 1_000  # of a page's JSON-LD
CREATIVE_COMMONS = re.compile(r"https?://(?:www\.)?creativecommons\.org/(?:licenses|publicdomain)/[^\s\"']+")


def read_html(file: "io.BufferedReader[Any]", name: str, config: HtmlConfig) -> Rows:
    """The page that a file is.

    Raises:
        DataError: the library that reads pages is not installed.
    """
    found = page(file.read(LONGEST_PAGE + 1), config)
    if isinstance(found, MalformedError):
        yield 1, found
        return
    fields, left_out = found
    for kind, count in left_out.items():
        yield 1, LeftOut(kind, count)
    yield 1, fields


def page(
    content: bytes, config: HtmlConfig, encoding: str | None = None
) -> tuple[dict[str, object], dict[str, int]] | MalformedError:
    """The fields of a page, and what is left out of it, by kind; `encoding` is what its server said.

    Raises DataError as `read_html`.
    """
    if len(content) > LONGEST_PAGE:
        return MalformedError(f"record too long: a page above {LONGEST_PAGE:,} bytes", len(content))
    return isolated(fields_of_page, content, config, encoding)


def fields_of_page(
    content: bytes, config: HtmlConfig, encoding: str | None
) -> tuple[dict[str, object], dict[str, int]]:
    """As `page`, in this process."""
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(decoded(content, encoding, declared_encoding(content)), scripting=True)
    fields = _metadata(tree, config)
    markup, left_out = shown(tree, config.text)
    return {"text": html_text(markup)} | fields, left_out


def _metadata(tree: "LexborHTMLParser", config: HtmlConfig) -> dict[str, object]:
    said: dict[str, list[str]] = {}
    for node in tree.css("meta[content]"):
        for key in ("property", "name", "itemprop", "http-equiv"):
            if name := node.attrs.get(key):
                said.setdefault(name.lower(), []).append(node.attrs.get("content") or "")
    objects = list(_linked_data(tree))
    title = next(iter(said.get("og:title", ())), "") or _text(tree, "title") or _text(tree, "h1")
    address = next((node.attrs.get("href") for node in tree.css("link[rel~=canonical i]")), None)
    address = address or next(iter(said.get("og:url", ())), None)
    published, revised = _dates(tree, said, objects)
    if config.date == "revised" and published and revised and revised.last > published.last:
        published, kind = hull(published, revised), "revised"
    else:
        kind = "published"
    return {
        "title": " ".join(title.split()) or None,
        "url": address if address and address.startswith(("http://", "https://")) else None,
        "licence": _licence(tree, objects),
        "date": published,
        "date_kind": kind if published else None,
    }


def _text(tree: "LexborHTMLParser", selector: str) -> str:
    node = tree.css_first(selector)
    return node.text() if node else ""


def _linked_data(tree: "LexborHTMLParser") -> Iterator[dict[str, Any]]:
    """The objects of a page's JSON-LD that are of the page, not of its comments and teasers: the outermost."""
    for script in tree.css("script[type='application/ld+json' i]"):
        try:
            left: list[Any] = [json.loads(script.text())]
        except (ValueError, RecursionError):
            continue
        for _ in range(MOST_OBJECTS):
            if not left:
                break
            value = left.pop(0)
            if isinstance(value, list):
                left += value
            elif isinstance(value, dict):
                yield value
                left += [value[key] for key in ("@graph", "mainEntity") if key in value]


def _dates(
    tree: "LexborHTMLParser", said: dict[str, list[str]], objects: list[dict[str, Any]]
) -> tuple[Interval | None, Interval | None]:
    """When a page was published and revised: all days that it says, where these differ."""
    shown = [
        node.attrs.get("datetime") or node.attrs.get("content") or node.text()
        for node in tree.css(
            "time[pubdate], time[itemprop~=datePublished], [itemprop~=datePublished]:not(meta):not(time)"
        )
    ]
    published = [*_named(said, PUBLISHED), *_strings(objects, "datePublished"), *shown]
    revised = [*_named(said, REVISED), *_strings(objects, "dateModified")]
    return _hull(published), _hull(revised)


def _named(said: dict[str, list[str]], names: re.Pattern[str]) -> list[str]:
    return [value for name, values in said.items() if names.fullmatch(name) for value in values]


def _strings(objects: list[dict[str, Any]], key: str) -> list[str]:
    return [found[key] for found in objects if isinstance(found.get(key), str)]


def _hull(written: Iterable[str]) -> Interval | None:
    """Of days that lie in a month or year that is said too, the days alone."""
    found = [days for days in map(interval_of, written) if days]
    narrowest = [days for days in found if not any(_lies_in(other, days) and other != days for other in found)]
    whole: Interval | None = None
    for days in narrowest:
        whole = hull(whole, days)
    return whole


def _lies_in(inner: Interval, outer: Interval) -> bool:
    return (
        outer.first is not None and inner.first is not None and outer.first <= inner.first and inner.last <= outer.last
    )


def _licence(tree: "LexborHTMLParser", objects: list[dict[str, Any]]) -> str | None:
    """The licence that a page names as its own; that of Creative Commons also by a link alone, where it is the one."""
    for node in tree.css("a[rel~=license i][href], link[rel~=license i][href]"):
        return str(node.attrs["href"])
    if named := _strings(objects, "license"):
        return named[0]
    addresses = (str(node.attrs["href"]) for node in tree.css("a[href*='creativecommons.org/']"))
    links = {address for address in addresses if CREATIVE_COMMONS.match(address)}
    return links.pop() if len(links) == 1 else None
