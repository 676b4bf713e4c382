import io
import re
from collections import Counter

import pytest

from data.format_config import HtmlConfig
from data.interval import Interval
from data.readers.html import LONGEST_PAGE, page, read_html
from data.readers.main_text import AROUND_MAIN, MOSTLY_AROUND
from data.readers.rows import LeftOut, MalformedError
from data.written_dates import of_month
from tests.data.readers.pages import Page, pages

LEAST_F1 = 0.975  # of every page; datatrove's reader has 0.50 on the worst of them
LEAST_MEAN_F1 = 0.995


def fields(html: str | bytes, config: HtmlConfig | None = None, encoding: str | None = None) -> dict[str, object]:
    found = page(html.encode() if isinstance(html, str) else html, config or HtmlConfig(), encoding)
    assert isinstance(found, tuple), found
    return found[0]


def token_f1(text: str, expected: str) -> float:
    ours, theirs = (Counter(re.findall(r"\w+", one)) for one in (text, expected))
    return 2 * (ours & theirs).total() / max(1, ours.total() + theirs.total())


def test_the_main_text_of_pages_written_by_hand() -> None:
    made = pages()
    assert len(made) >= 30
    scores = {one.name: token_f1(str(fields(one.html)["text"]), one.text) for one in made}
    assert min(scores.values()) >= LEAST_F1, scores
    assert sum(scores.values()) / len(scores) >= LEAST_MEAN_F1


@pytest.mark.parametrize("one", [one for one in pages() if "|" in one.text], ids=lambda one: one.name)
def test_rows_of_tables_are_lines_of_cells_and_items_lines(one: Page) -> None:
    lines = [line.removeprefix("- ").strip() for line in str(fields(one.html)["text"]).splitlines()]
    for line in one.text.splitlines():
        assert line.strip("| ") in lines or "oldtable" in one.name


def test_code_keeps_its_lines() -> None:
    code = next(one for one in pages() if one.name == "04-docs")
    assert "client = Client(\n    max_attempts=3,\n    base_delay=0.5,\n)" in str(fields(code.html)["text"])


def test_what_is_not_shown_is_out_and_whole_keeps_the_rest() -> None:
    html = """<nav>Menu</nav><script>var a = "<p>no"</script><style>p {}</style><p>Seen</p>
        <p style="display: none">No</p>
        <p hidden>No</p><template><p>No</p></template><noscript>No</noscript><button>No</button>"""
    assert fields(html)["text"] == "Seen"
    assert fields(html, HtmlConfig(text="whole"))["text"] == "Menu\n\nSeen"


@pytest.mark.parametrize(
    ("html", "left_out"),
    [
        ("<p>Seen here</p><p hidden>No</p>", {}),
        ("<nav>A menu</nav><p>Seen here</p><p hidden>No</p>", {AROUND_MAIN: 5}),
        ("<nav>Menu one</nav><nav>Menu two</nav><nav>Menu 3</nav><p>Seen text", {AROUND_MAIN: 19, MOSTLY_AROUND: 1}),
        ("", {}),
    ],
)
def test_what_is_left_out_of_a_page_is_counted(html: str, left_out: dict[str, int]) -> None:
    found = [row for _, row in read_html(io.BufferedReader(io.BytesIO(html.encode())), "a.html", HtmlConfig())]
    assert found[:-1] == [LeftOut(kind, count) for kind, count in left_out.items()]
    assert page(html.encode(), HtmlConfig(text="whole")) == (fields(html, HtmlConfig(text="whole")), {})


def test_a_page_that_is_called_like_its_frame_keeps_its_text() -> None:
    """Classes of the whole page, as with-sidebar, are no reason to drop it."""
    assert fields("<body><div class='page sidebar'><p>All that there is.</p></div>")["text"] == "All that there is."


def section(number: int, mark: str, tag: str = "section", words: int = 40) -> str:
    return f"<{tag} {mark}><h2>Part {number}</h2><p>{f'words of {number} ' * words}</p></{tag}>"


CONTENT = {
    "a bank": "share-capital related-party-transactions nav-per-share social-bonds outlook consent-solicitation",
    "a clinic": "informed-consent feedback-control social-work related-conditions comments-on-dosage recommendations",
    "whole names": "consent share social widget tags related nav",  # most of the page: then they are none of its frame
    "a builder": " ".join(["elementor-widget elementor-widget-text-editor"] * 6),
}


@pytest.mark.parametrize("attribute", ["id", "class"])
@pytest.mark.parametrize("names", CONTENT.values(), ids=CONTENT)
def test_content_that_is_called_like_a_frame_is_kept(names: str, attribute: str) -> None:
    made = [section(number, f'{attribute}="{name}"') for number, name in enumerate(names.split())]
    text = str(fields(f"<body><nav>Menu</nav><main>{''.join(made)}</main>")["text"])
    assert [f"Part {number}" in text for number in range(len(made))] == [True] * len(made)
    assert "Menu" not in text


@pytest.mark.parametrize(
    "name",
    ["nav", "main-nav", "social-links", "share-buttons", "related-posts", "post-tags", "widget-area", "comment-12"],
)
def test_what_is_called_a_frame_and_nothing_else_is_out(name: str) -> None:
    text = fields(f"<body><div>{section(1, '')}{section(2, f'class={name}', words=5)}</div>")["text"]
    assert "Part 1" in str(text)
    assert "Part 2" not in str(text)


def test_a_page_within_an_element_that_is_called_a_frame_has_its_frame_dropped() -> None:
    menu = section(2, "class=menu", words=5)
    text = str(fields(f"<body><div class='page widget'>{section(1, '')}</div>{menu}")["text"])
    assert "Part 1" in text
    assert "Part 2" not in text


@pytest.mark.parametrize("around", ["{}", "<div>{}</div>", "<div><div>{}</div></div>"])
def test_articles_of_one_level_are_the_main_text_together(around: str) -> None:
    made = [around.format(section(number, "", "article", words)) for number, words in enumerate((20, 40, 30, 2))]
    text = str(fields(f"<body><div>{''.join(made[:3])}</div><div class=cards>{made[3]}</div>")["text"])
    assert [f"Part {number}" in text for number in range(4)] == [True, True, True, False]


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ('<meta property="article:published_time" content="2021-03-05T23:30:00-05:00">', "2021-03-06"),
        ('<meta name="citation_publication_date" content="2021/03/05">', "2021-03-05"),
        ('<meta name="DC.Date.Issued" content="2021-03">', "2021-03-01 to 2021-03-31"),
        ('<meta name="date" content="2021">', "2021-01-01 to 2021-12-31"),
        ('<meta name="date" content="5/6/2021">', "None"),
        ('<meta name="date" content="yesterday">', "None"),
        ('<script type="application/ld+json">{"@graph": [{"datePublished": "2021-03-05"}]}</script>', "2021-03-05"),
        ('<script type="application/ld+json">{"comment": [{"datePublished": "2021-03-05"}]}</script>', "None"),
        ('<script type="application/ld+json">{broken</script>', "None"),
        ('<time pubdate datetime="2021-03-05">Friday</time>', "2021-03-05"),
        ('<time datetime="2021-03-05">an event</time>', "None"),
        # a month with a day in it says no more than the day; two days are all from one to the other
        ('<meta name="date" content="2021-03"><meta name="pubdate" content="2021-03-05">', "2021-03-05"),
        (
            '<meta name="date" content="2021-03-04"><meta name="pubdate" content="2021-03-05">',
            "2021-03-04 to 2021-03-05",
        ),
    ],
)
def test_the_date_is_what_the_page_says_of_its_publication(head: str, expected: str) -> None:
    found = fields(f"<html><head>{head}</head><body><p>On 1 May 1999.")
    assert str(found["date"]) == expected
    assert found["date_kind"] == (None if expected == "None" else "published")


def test_a_revision_counts_where_it_is_asked_for() -> None:
    html = """<meta property="article:published_time" content="2019-05"><script type="application/ld+json">
        {"dateModified": "2022-01-02T10:00:00Z"}</script>"""
    assert fields(html)["date"] == of_month(2019, 5)
    revised = fields(html, HtmlConfig(date="revised"))
    assert (str(revised["date"]), revised["date_kind"]) == ("2019-05-01 to 2022-01-02", "revised")


def test_title_address_and_licence() -> None:
    found = fields(
        """<head><title> Two
        lines </title><link rel="canonical" href="https://example.org/a"></head>
        <a rel="license" href="https://creativecommons.org/licenses/by/4.0/">CC BY</a>"""
    )
    assert found["title"] == "Two lines"
    assert found["url"] == "https://example.org/a"
    assert found["licence"] == "https://creativecommons.org/licenses/by/4.0/"
    one = '<p><a href="https://creativecommons.org/licenses/by-sa/3.0/">CC</a>'
    assert fields(one)["licence"] == "https://creativecommons.org/licenses/by-sa/3.0/"
    assert fields(one + one.replace("by-sa", "by"))["licence"] is None, "of which picture each is, nobody knows"
    assert fields('<link rel="canonical" href="javascript:x">')["url"] is None


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("<meta charset=iso-8859-1><p>schön und gut".encode(), None),  # declared wrong
        ("<meta charset=utf-8><p>schön und gut".encode("cp1252"), None),  # and the other way round
        ("<p>schön und gut".encode("cp1252"), None),
        ("<p>schön und gut".encode("utf-16"), None),
        ("<p>schön und gut".encode("cp1250"), "windows-1250"),
        (
            '<meta http-equiv=Content-Type content="text/html; charset=windows-1250"><p>schön und gut'.encode("cp1250"),
            None,
        ),
        ("<meta charset=rot13><p>schön und gut".encode(), "no-such"),
    ],
)
def test_encodings_are_what_the_bytes_say(content: bytes, encoding: str | None) -> None:
    assert fields(content, encoding=encoding)["text"] == "schön und gut"


def test_a_page_that_is_too_long_is_none() -> None:
    [(line, found)] = read_html(io.BufferedReader(io.BytesIO(b"x" * (LONGEST_PAGE + 1))), "a.html", HtmlConfig())
    assert (line, type(found)) == (1, MalformedError)
    assert "record too long" in str(found)


def test_depth_has_a_bound() -> None:
    found = page(b"<div>" * 5_000 + b"deep", HtmlConfig())
    assert isinstance(found, MalformedError)
    assert "unreadable HTML" in str(found)


def test_an_interval_is_of_days() -> None:
    found = fields('<meta name="date" content="2021-03-05">')["date"]
    assert isinstance(found, Interval)
    assert found.precision == "day"
