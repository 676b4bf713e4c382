"""A page's tree as text: which part of it is the main text, and headings, lists, tables and code as lines."""

import re
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

NEVER_SHOWN = (
    "script, style, noscript, template, svg, iframe, object, button, select, input, textarea, dialog, [hidden], "
    "[style*='display:none' i], [style*='display: none' i], [style*='visibility:hidden' i], ix\\:header"
)
FRAME = (
    "nav, aside, footer, [role=navigation], [role=banner], [role=contentinfo], [role=search], [role=complementary], "
    "[role=dialog], [aria-modal=true]"
)
MAIN = ("[itemprop=articleBody]", "article", "main", "[role=main]")
# Words of which classes and ids of what stands around a text are made.
AROUND = re.compile(
    r"(?:^|[\s_-])(?:cookies?|consent|gdpr|nav|navbar|navigation|menu|breadcrumbs?|side-?bar|footer|masthead|share|sharing"
    r"|social|related|recommend(?:ed|ations)?|most-?read|newsletter|subscribe|sign-?up|promo(?:tion)?|advert(?:s|isement)?"
    r"|ads?|sponsored|popup|modal|overlay|comments?|respond|widget|toc|catlinks|pagination|pager|skip(?:-?link)?|topbar"
    r"|teasers?|postprofile|feedback|editsection|tags?)(?:$|[\s_-])",
    re.IGNORECASE,
)
SHARE_OF_MAIN = 0.4  # of a page's text that an element must have to be its main text
SHARE_OF_LINKS = 0.7  # of a block's text from which on it is a list of ways elsewhere
MAY_BE_LINKS = {"ul", "ol", "dl", "td", "div", "section", "p"}
# What stands for lines and cells while the white space of the source is taken out.
PARAGRAPH, LINE, SPACE, CELL, ROW, ROW_END, TABLE, TABLE_END = map(chr, range(1, 9))
CODE_LINE = chr(14)
PARAGRAPHS = "p, h1, h2, h3, h4, h5, h6, ul, ol, dl, blockquote, pre, figure, section, article, header, main, hr, form"
LINES = "div, dt, dd, address, center, figcaption, caption, summary, details, legend, option"
WIDEST_CELL = 500  # characters: what is longer is a column of a page and not a cell
INNER_TABLE = re.compile(f"{TABLE}([^{TABLE}{TABLE_END}]*){TABLE_END}")
BREAKS = re.compile(f"[{PARAGRAPH}{LINE}]+")
WHITE = re.compile(r"[^\S\x1c-\x1f]+|[\x1c-\x1f]+")


def text_of(tree: "LexborHTMLParser", extent: Literal["main", "whole"]) -> str:
    """The text of a page, which is taken apart for it."""
    body = tree.body
    if body is None:
        return ""
    for node in reversed(body.css(NEVER_SHOWN)):  # what lies in others before them
        node.decompose()
    return _lines(_main(body) if extent == "main" else body)


def _main(body: "LexborNode") -> "LexborNode":
    """The element that holds the main text, without what is in it that is none.

    Nothing that has half of a page's text or more is taken for what stands around it.
    """
    whole = _size(body)
    _drop(body.css(FRAME), whole)
    here = _size(body)
    root = body
    for selector in MAIN:
        best = max(body.css(selector), key=_size, default=None)
        if best is not None and _size(best) >= SHARE_OF_MAIN * here:
            root = best
            break
    if root is body:
        _drop(body.css("header"), whole)
    _drop(
        [
            node
            for node in root.css("[class], [id]")
            if node.mem_id != root.mem_id
            and AROUND.search(f"{node.attrs.get('class') or ''} {node.attrs.get('id') or ''}")
        ],
        whole,
    )
    _drop(_links(root), whole)
    return root


def _size(node: "LexborNode") -> int:
    return len(node.text())


def _drop(nodes: "list[LexborNode]", whole: int) -> None:
    for node in reversed(nodes):
        if _size(node) * 2 < whole:
            node.decompose()


def _links(root: "LexborNode") -> "list[LexborNode]":
    """Blocks that are links above all, in the order of the page."""
    linked: dict[int, list[int]] = {}
    blocks: dict[int, LexborNode] = {}
    for link in root.css("a"):
        size, node = _size(link), link.parent
        while node is not None and node.mem_id != root.mem_id:
            if node.tag in MAY_BE_LINKS:
                blocks[node.mem_id] = node
                linked.setdefault(node.mem_id, []).append(size)
            node = node.parent
    found = {
        key
        for key, sizes in linked.items()
        if len(sizes) > 1 and sum(sizes) > SHARE_OF_LINKS * len(" ".join(blocks[key].text().split()))
    }
    return [node for node in root.css(", ".join(MAY_BE_LINKS)) if node.mem_id in found] if found else []


def _lines(root: "LexborNode") -> str:
    """The text with a line for each item, row and line, and an empty one between paragraphs."""
    for pre in root.css("pre"):
        text = pre.text().strip("\r\n").expandtabs()
        pre.inner_html = ""
        pre.insert_child(text.replace("\r", "").replace("\n", CODE_LINE).replace(" ", SPACE))
    for node in root.css("br"):
        node.replace_with(LINE)
    for node in root.css("td, th"):
        node.insert_after(CELL)
    for selector, before, after in (
        (PARAGRAPHS, PARAGRAPH, PARAGRAPH),
        (LINES, LINE, LINE),
        ("tr", ROW, ROW_END),
        ("table", PARAGRAPH + TABLE, TABLE_END + PARAGRAPH),
    ):
        for node in root.css(selector):
            if node.mem_id != root.mem_id:
                node.insert_before(before)
                node.insert_after(after)
    for items in root.css("ul, ol, menu"):
        found = [node for node in items.iter() if node.tag == "li"]
        for number, node in enumerate(found, start=1):
            node.insert_before(LINE + (f"{number}. " if items.tag == "ol" else "- "))
            node.insert_after(LINE)
    text = WHITE.sub(" ", root.text())
    if TABLE in text:
        while (inner := INNER_TABLE.sub(_table, text)) != text:
            text = inner
    text = re.sub(f"[{CELL}{ROW}{ROW_END}{TABLE}{TABLE_END}]+", LINE, text)
    text = re.sub(
        f" *{PARAGRAPH}[ {PARAGRAPH}{LINE}]*| *{LINE}[ {LINE}]*{PARAGRAPH}[ {PARAGRAPH}{LINE}]*", "\n\n", text
    )
    text = re.sub(f" *{LINE}[ {LINE}]*", "\n", text)
    return text.replace(SPACE, " ").replace(CODE_LINE, "\n").strip("\n ")


def _table(found: re.Match[str]) -> str:
    """A table as lines of cells; the columns of a page laid out by a table as paragraphs."""
    rows = [row.split(CELL) for row in re.split(f"[{ROW}{ROW_END}]+", found[1])]
    rows = [[cell.strip(f" {PARAGRAPH}{LINE}") for cell in row[:-1] or row] for row in rows]
    if any(len(cell) > WIDEST_CELL for row in rows for cell in row):
        return PARAGRAPH.join(cell for row in rows for cell in row if cell)
    width = max(map(len, rows), default=0)
    filled = [any(column < len(row) and row[column] for row in rows) for column in range(width)]
    lines = [
        " | ".join(BREAKS.sub(" ", cell) for cell, is_filled in zip(row, filled, strict=False) if is_filled)
        for row in rows
        if any(row)
    ]
    return LINE.join(lines)
