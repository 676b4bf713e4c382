"""Which part of a web page is its main text: what menus, banners, lists of links, comments and footers are not."""

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


def shown(tree: "LexborHTMLParser", extent: Literal["main", "whole"]) -> str:
    """The HTML of what a page shows, or of its main text alone; the tree is taken apart for it."""
    body = tree.body
    if body is None:
        return ""
    for node in reversed(body.css(NEVER_SHOWN)):  # what lies in others before them
        node.decompose()
    return str((_main(body) if extent == "main" else body).html)


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
