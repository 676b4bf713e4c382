"""Which part of a web page is its main text: what menus, banners, lists of links, comments and footers are not."""

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

# What is left out of a page, counted without white space; and a page of which that is more than half.
AROUND_MAIN = "characters around the main text of pages"
MOSTLY_AROUND = "pages of which more than half is taken for such"
NEVER_SHOWN = (
    "script:not([type^='math/tex']), style, noscript, template, svg, iframe, object, button, select, input, textarea, "
    "dialog, [hidden], [style*='display:none' i], [style*='display: none' i], [style*='visibility:hidden' i], "
    "ix\\:header"
)
FRAME = (
    "nav, aside, footer, [role=navigation], [role=banner], [role=contentinfo], [role=search], [role=complementary], "
    "[role=dialog], [aria-modal=true]"
)
MAIN = ("[itemprop~=articleBody]", "article", "main", "[role=main]")
# Words of which classes and ids of what stands around a text are made, whatever else is in the name.
AROUND = re.compile(
    r"(?:^|[\s_-])(?:cookies?|gdpr|navbar|breadcrumbs?|side-?bar|footer|masthead|most-?read|newsletter|subscribe|sign-?up"
    r"|promo|advert(?:s|isement)?|ads?|popup|toc|catlinks|pagination|pager|skip(?:-?link)?|topbar|teasers?|postprofile"
    r"|editsection)(?:$|[\s_-])",
    re.IGNORECASE,
)
# Words that name content as well (share-capital, informed-consent): only where a name is made of them and of words for
# the layout.
COMMENTS = re.compile(r"comments?|respond")
MAY_BE_AROUND = re.compile(
    r"comments?|respond|consent|feedback|menu|modal|nav|navigation|overlay|promotion|recommended|related|share|sharing"
    r"|social|sponsored|tags?|widgets?"
)
LAYOUT = re.compile(
    r"[0-9]*|area|articles?|bar|block|body|bottom|box|btn|buttons?|container|content|css|dialog|entry|follow|form|global"
    r"|group|header|icons?|inner|items?|left|links?|list|main|mobile|mw|outer|page|panel|posts?|primary|right|row"
    r"|secondary|section|site|story|stories|title|toggle|tools|top|vector|wp|wrap|wrapper"
)
PARTS_OF_NAME = re.compile(r"[-_]+")
SHARE_OF_MAIN = 0.4  # of a page's text that an element must have to be its main text
SHARE_OF_PEER = 0.25  # of the largest such element's text that another must have to be main text with it
SHARE_OF_LINKS = 0.7  # of a block's text from which on it is a list of ways elsewhere
MAY_BE_LINKS = {"ul", "ol", "dl", "td", "div", "section", "p"}


def shown(tree: "LexborHTMLParser", extent: Literal["main", "whole"]) -> tuple[str, dict[str, int]]:
    """The HTML of what a page shows, or of its main text alone, and what is left out of it, by kind.

    The tree is taken apart for it.
    """
    body = tree.body
    if body is None:
        return "", {}
    for node in reversed(body.css(NEVER_SHOWN)):  # what lies in others before them
        node.decompose()
    if extent == "whole":
        return str(body.html), {}
    whole = _characters(body)
    main = _main(body)
    lost = whole - _characters(main)
    counts = {AROUND_MAIN: lost, MOSTLY_AROUND: int(2 * lost > whole)}
    return str(main.html), {kind: count for kind, count in counts.items() if count}


def _characters(node: "LexborNode") -> int:
    return sum(map(len, node.text().split()))


def _main(body: "LexborNode") -> "LexborNode":
    """The element that holds the main text, without what is in it that is none.

    Nothing that has half of a page's text or more is taken for what stands around it.
    """
    whole = _size(body)
    _drop(body.css(FRAME), whole)
    root = _root(body)
    if root.mem_id == body.mem_id:
        _drop(body.css("header"), whole)
    _drop(_named(root, lambda name: bool(AROUND.search(name)) or _is_made_of(name, COMMENTS)), whole)
    around = [node for node in _named(root, lambda name: _is_made_of(name, MAY_BE_AROUND)) if _size(node) * 2 < whole]
    if _size_of_all(around) * 2 < _size(root):  # else the page calls its content so
        _drop(around, whole)
    _drop(_links(root), whole)
    return root


def _root(body: "LexborNode") -> "LexborNode":
    """The least element with the main text; of several alike the one that holds all of them."""
    least = SHARE_OF_MAIN * _size(body)
    for selector in MAIN:
        nodes = body.css(selector)
        sizes = [_size(node) for node in nodes]
        most = max(sizes, default=0)
        peers = [node for node, size in zip(nodes, sizes, strict=True) if size and size >= SHARE_OF_PEER * most]
        if peers and _size(root := _common(peers)) >= least:
            return root
    return body


def _common(nodes: "list[LexborNode]") -> "LexborNode":
    """The least element that holds all of these, each step upwards taken once."""
    chain = list(_upwards(nodes[0]))
    place_of = {node.mem_id: place for place, node in enumerate(chain)}
    least = 0
    for node in nodes[1:]:
        path = []
        for above in _upwards(node):
            if above.mem_id in place_of:
                break
            path.append(above.mem_id)
        least = max(least, place_of[above.mem_id])
        place_of.update(dict.fromkeys(path, place_of[above.mem_id]))
    return chain[least]


def _upwards(node: "LexborNode | None") -> "Iterator[LexborNode]":
    while node is not None:
        yield node
        node = node.parent


def _named(root: "LexborNode", is_one: Callable[[str], bool]) -> "list[LexborNode]":
    """The elements in another of which the id or a class is one of those, in the order of the page."""
    return [
        node
        for node in root.css("[class], [id]")
        if node.mem_id != root.mem_id
        and any(map(is_one, f"{node.attrs.get('class') or ''} {node.attrs.get('id') or ''}".lower().split()))
    ]


def _is_made_of(name: str, words: re.Pattern[str]) -> bool:
    """Whether a name has such a word, and nothing beside but the like, words for the layout and numbers."""
    parts = PARTS_OF_NAME.split(name)
    return any(map(words.fullmatch, parts)) and all(
        MAY_BE_AROUND.fullmatch(part) or LAYOUT.fullmatch(part) for part in parts
    )


def _size_of_all(nodes: "list[LexborNode]") -> int:
    """The text of elements, in the order of the page, that of those within others once."""
    inner: set[int] = set()
    size = 0
    for node in nodes:
        if node.mem_id not in inner:
            size += _size(node)
            inner.update(one.mem_id for one in node.css("[class], [id]"))
    return size


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
