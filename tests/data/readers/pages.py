"""Web pages whose main text is known: pages.txt, written by hand, in frames as sites have them.

A line of pages.txt that begins with # is a heading, - an item, | a row of cells, and what stands between ``` is code.
"""

import html
import random
import re
from pathlib import Path
from typing import NamedTuple

TEXTS = Path(__file__).with_name("pages.txt")
ITEMS = (
    "Home;World;Business;Opinion;Sport;Culture;Weather;Archive",
    "Ten photographs of the week;Why bread got dearer;The bridge that nobody wanted;Letters to the editor",
    "About us;Careers;Advertise;Contact;Terms of use;Privacy policy;Cookie settings;Imprint",
)


class Page(NamedTuple):
    """A page, and the text that a reader is there for, a block a line."""

    name: str
    html: str
    text: str


def _list(names: str, kind: str = "ul", mark: str = "") -> str:
    items = "".join(f'<li{mark}><a href="/{n}">{html.escape(name)}</a></li>' for n, name in enumerate(names.split(";")))
    return f"<{kind}>{items}</{kind}>"


def blocks(source: str) -> list[list[str]]:
    """The lines of a text in groups that an element holds: code, items, rows, or a line alone."""
    groups: list[list[str]] = []
    for fenced, lines in ((part.startswith("```"), part) for part in re.split(r"(```\n.*?```\n?)", source, flags=re.S)):
        if fenced:
            groups.append([lines])
            continue
        for line in lines.strip().splitlines():
            mark = line[0]
            if mark in "-|" and groups and groups[-1][0][0] == mark:
                groups[-1].append(line)
            else:
                groups.append([line])
    return groups


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("| ").split(" | ")]


def body(source: str, paragraph: str = "<p>{}</p>", item: str = "<ul>{}</ul>") -> str:
    """The HTML of a text."""
    made = []
    for group in blocks(source):
        first = group[0]
        if first.startswith("```"):
            made.append(f"<pre><code>{html.escape(first[4:-4].rstrip('`'))}</code></pre>")
        elif first.startswith("#"):
            level = len(first) - len(first.lstrip("#"))
            made.append(f"<h{level}>{html.escape(first.lstrip('# '))}</h{level}>")
        elif first.startswith("-"):
            made.append(item.format("".join(f"<li>{html.escape(line[2:])}</li>" for line in group)))
        elif first.startswith("|"):
            rows = ["".join(f"<td>{html.escape(cell)}</td>" for cell in cells(row)) for row in group]
            head = rows[0].replace("td>", "th>")
            made.append(
                f"<table><thead><tr>{head}</tr></thead><tbody>"
                + "".join(f"\n  <tr>{r}</tr>" for r in rows[1:])
                + "</tbody></table>"
            )
        else:
            made.append(paragraph.format(html.escape(first)))
    return "\n".join(made)


def plain(source: str) -> str:
    """The text without its marks."""
    lines = [line for line in source.strip().splitlines() if line != "```"]
    return "\n".join(re.sub(r"^#+ |^- ", "", line) for line in lines)


COOKIES = (
    '<div id="cookie-consent" class="cookie-banner" role="dialog"><p>We value your privacy. We and our 843 partners '
    "store and access information on a device, such as cookies.</p><button>Accept all</button>"
    "<button>Manage settings</button></div>"
)
FOOTER = (
    f"<footer>{_list(ITEMS[2])}<p>© 2024 Example Media Ltd. All rights reserved. No part of this site may be "
    "reproduced without permission.</p></footer>"
)


def _news(title: str, source: str) -> str:
    return f"""<body>{COOKIES}<header class="site-header"><a href="/">The Example</a><nav>{_list(ITEMS[0])}</nav>
</header><div class="breaking">Breaking: storm warning for the coast <a href="/live">Follow live</a></div>
<main><article itemprop="articleBody">{body(source)}</article>
<div class="share-buttons"><a href="#">Share on X</a> <a href="#">Share on Facebook</a> <a href="#">E-mail</a></div>
<section class="newsletter-signup"><h3>Get our morning letter</h3><p>Every weekday at seven.</p>
<form><input name="mail"><button>Sign up</button></form></section></main>
<aside class="related"><h3>Most read</h3>{_list(ITEMS[1], "ol")}</aside>{FOOTER}</body>"""


def _wordpress(title: str, source: str) -> str:
    return f"""<body class="post-template-default single"><div id="page"><header id="masthead"><p class="site-title">
<a href="/">Shed and Soil</a></p><nav id="site-navigation" class="main-navigation">{_list(ITEMS[0])}</nav></header>
<div id="content"><div id="primary"><main id="main"><article class="post type-post hentry">
<div class="entry-content">{body(source)}</div><footer class="entry-footer"><span class="cat-links">Posted in
<a href="/c">Workshop</a></span></footer></article><nav class="post-navigation"><a href="/p">Previous: Winter tyres</a>
<a href="/n">Next: A bench of ash</a></nav><div id="comments" class="comments-area"><h2>2 thoughts</h2><ol
class="comment-list"><li class="comment"><p>Great post, thanks for sharing!</p></li><li class="comment"><p>First!</p>
</li></ol></div></main></div><div id="secondary" class="widget-area"><section class="widget"><h2>Recent posts</h2>
{_list(ITEMS[1])}</section><section class="widget"><h2>Archives</h2>{_list("March 2021;April 2021;May 2021")}</section>
</div></div><footer id="colophon" class="site-footer">Proudly powered by WordPress</footer></div></body>"""


def _docs(title: str, source: str) -> str:
    side = _list("Introduction;Installation;Quick start;Authentication;Retries;Pagination;Errors;Changelog")
    return f"""<body><a class="skip" href="#content">Skip to main content</a>
<div class="navbar">{_list("Docs;API;Blog")}
<input type="search" placeholder="Search"></div><div class="layout"><nav class="sidebar menu">{side}</nav>
<div role="main" class="document" id="content">{body(source)}</div><div class="toc"><p>On this page</p>
{_list("Settings;Example")}</div></div><div class="footer">Built with Sphinx. <a href="/edit">Edit this page</a></div>
</body>"""


def _wiki(title: str, source: str) -> str:
    first, _, rest = body(source).partition("</h1>")
    return f"""<body class="mediawiki"><div id="mw-head">
<div class="vector-menu">{_list("Read;Edit;View history")}</div>
</div><div id="mw-panel">{_list("Main page;Contents;Current events;Random article;Donate")}</div>
<div id="content" class="mw-body" role="main">{first}</h1><div id="bodyContent"><div id="siteSub">From the free
encyclopedia</div><div id="mw-content-text"><div class="mw-parser-output">{rest}</div></div></div></div>
<div id="catlinks">Categories: {_list("Battles;1471 in England")}</div><div id="footer">
{_list("Privacy policy;About;Disclaimers;Mobile view")}</div></body>"""


def _gov(title: str, source: str) -> str:
    return f"""<body><div class="cookie-bar"><p>We use some essential cookies to make this website work.</p></div>
<header role="banner"><a href="/">Example Government</a></header><div class="breadcrumbs">
{_list("Home;Environment;Water", "ol")}</div><div class="wrapper"><main id="content" role="main">{body(source)}</main>
</div><div class="feedback"><h2>Is this page useful?</h2><button>Yes</button><button>No</button></div>{FOOTER}</body>"""


def _oldtable(title: str, source: str) -> str:
    text = body(source, "{}<br><br>").replace("<h1>", '<font size="5"><b>').replace("</h1>", "</b></font><br>")
    return f"""<body bgcolor=#ffffff><table width=760 border=0><tr><td colspan=2><img src=top.gif alt=""></td></tr>
<tr><td width=140 valign=top><a href=index.htm>Start</a><br><a href=mill.htm>The mill</a><br><a href=links.htm>Links</a>
<br><a href=guest.htm>Guestbook</a></td><td valign=top>{text}</td></tr><tr><td colspan=2 align=center><font size=1>Best
viewed at 800x600 - Webmaster</font></td></tr></table></body>"""


def _divsoup(title: str, source: str) -> str:
    text = body(source, '<div class="css-1xk9"><span>{}</span></div>')
    return f"""<body><div id="__next"><div class="css-a1"><div class="css-nav">{_list(ITEMS[0])}</div></div>
<div class="css-b2"><div class="css-c3">{text}</div><div class="css-r8 sidebar">{_list(ITEMS[1])}</div></div>
<div class="css-f9 footer">{_list(ITEMS[2])}</div></div>
<script>window.__DATA__={{"text":"never shown"}}</script></body>"""


def _article(title: str, source: str) -> str:
    return f"""<body><nav class="nav">{_list(ITEMS[0])}</nav><article>{body(source)}</article>
<div style="display:none"><p>Subscribe to go on reading this story and hundreds more.</p></div>
<div class="promo"><a href="/subscribe">Subscribe from 2 a week</a></div>{FOOTER}</body>"""


def _forum(title: str, source: str) -> str:
    head, *posts = body(source, "{}").splitlines()
    made = "".join(
        f'<div class="post"><div class="postprofile"><a href="/u{n}">user{n}</a><br>Posts: {n * 37 + 5}</div>'
        f'<div class="postbody"><div class="content">{post}</div></div></div>'
        for n, post in enumerate(posts)
    )
    return f"""<body id="phpbb"><div id="page-header">{_list("Board index;FAQ;Register;Login")}</div>
<div id="page-body">
{head}{made}</div><div id="page-footer">{_list("All times are UTC;Delete cookies;The team")}</div></body>"""


def _german(title: str, source: str) -> str:
    return f"""<body><header><nav>{_list("Startseite;Politik;Wirtschaft;Sport;Wetter")}</nav></header><main>
<div class="artikel">{body(source)}</div></main><div class="teaser-liste"><h3>Mehr zum Thema</h3>
{_list("Pegel im Überblick;Hilfe für Betroffene;Bilder der Nacht")}</div><footer>{_list("Impressum;Datenschutz;AGB")}
</footer></body>"""


def _glossary(title: str, source: str) -> str:
    text = re.sub(r"<li>([^:<]+): (.*?)</li>", r"<dt>\1: </dt><dd>\2</dd>", body(source, item="<dl>{}</dl>"))
    return (
        f"""<body><div class="topbar">{_list(ITEMS[0])}</div><section class="content">{text}</section>{FOOTER}</body>"""
    )


def _plain(title: str, source: str) -> str:
    return f"""<body><div class="header"><ul class="menu">{_list(ITEMS[0])[4:-5]}</ul></div>
<div class="container"><div class="main-column">{body(source)}</div><div class="right-column">
<div class="box"><h4>Latest</h4>{_list(ITEMS[1])}</div></div></div><div class="footer"><p>Copyright Example Ltd.</p>
{_list(ITEMS[2])}</div></body>"""


FRAMES = {
    "news": _news,
    "wordpress": _wordpress,
    "docs": _docs,
    "wiki": _wiki,
    "gov": _gov,
    "oldtable": _oldtable,
    "divsoup": _divsoup,
    "article": _article,
    "forum": _forum,
    "german": _german,
    "glossary": _glossary,
}


def _in_disorder(line: str, draw: random.Random) -> str:
    words = line.split()
    draw.shuffle(words)
    return " ".join(words)


def pages(seed: int | None = None) -> list[Page]:
    """The pages of the file, in its order; with a seed others like them, whose lines have their words in disorder."""
    made = []
    draw = random.Random(seed)
    sections = re.split(r"^=== (\w+) \| (.*)\n", TEXTS.read_text("utf-8"), flags=re.M)[1:]
    for number, (kind, title, source) in enumerate(zip(sections[::3], sections[1::3], sections[2::3], strict=True)):
        if seed is not None:
            source = re.sub(
                r"(?m)^(?!```)([#|-]* ?)([^\n|]+)$", lambda line: line[1] + _in_disorder(line[2], draw), source
            )
        frame = FRAMES.get(kind, _plain)(title, source)
        head = (
            f'<head><meta charset="utf-8"><title>{html.escape(title)} | Example</title><link rel="canonical" '
            f'href="https://example.org/{number}"><meta property="article:published_time" '
            f'content="2019-{number % 12 + 1:02}-14T09:30:00+00:00"></head>'
        )
        made.append(Page(f"{number:02}-{kind}", f"<!DOCTYPE html>\n<html>{head}\n{frame}</html>\n", plain(source)))
    return made
