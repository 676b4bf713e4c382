import contextlib
import time
import tracemalloc

import pytest

from data.format_config import HtmlConfig
from data.readers.html import fields_of_page
from data.readers.html_text import html_text
from data.readers.rows import MalformedError

ONE_AFTER = "1. One\n\n2.\n\nAfter\n\na | 1. b"


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("", ""),
        ("<p>a", "a"),
        ("no tags\nat all", "no tags at all"),
        ("<h2>Item 1.</h2><p>One.</p><p>Two<br>lines.<br><br>Three.", "Item 1.\n\nOne.\n\nTwo\nlines.\n\nThree."),
        ("<ul><li>a<li>b</ul>", "- a\n- b"),
        ("<ul><li><p>One</p><p>more</p></li>\n<li> <a><p>Two</p></a></ul>", "- One\n\nmore\n\n- Two"),
        ("<ul><li><div>One</div><li><ul><li><p>in</ul><li></ul><p>After", "- One\n- - in\n\n-\n\nAfter"),
        ("<ol><li><h3>One</h3><li></ol><p>After<table><tr><td>a<td><ol><li><p>b</ol></table>", ONE_AFTER),
        ("a<span>1,</span><b>23</b>4", "a1,234"),
        ("<pre>a   b\n  c</pre>", "a   b\n  c"),
        ("1,234<sup>1</sup> 10<sup>-5</sup> 4<sup>th</sup>", "1,234^1 10^-5 4th"),
        ("mc<sup>2</sup>70 a<sup>n - 1</sup> H<sub>2</sub>O log<sub>10</sub>5", "mc^{2}70 a^{n - 1} H2O log_{10}5"),
        ("<p hidden>x</p><p style='Display : NONE'>y</p>z<script>s</script><style>t</style>", "z"),
        ("<div style='visibility:hidden'><b>x</b></div>tail", "tail"),
        ("<ix:header><ix:hidden>facts</ix:hidden></ix:header><ix:nonFraction>7</ix:nonFraction>8", "78"),
        ("&lt;b&gt; &amp; &nbsp; &eacute; &nosuch; &#x2014;", "<b> & é &nosuch; —"),
        ("\0a\0", "a"),
        (
            "<p>Pay <del>ten</del><ins>twenty</ins> <s>now</s><table><tr><td>a<del>b</del><td>c</table>",
            "Pay twenty now\n\na | c",
        ),
        ("<p>He said <q>no</q>.<table><tr><td><q>a</q><td>c</table>", "He said “no”.\n\n“a” | c"),
        ("<ol><li>a<li>b<ul><li>c</ul></ol>", "1. a\n2. b\n\n- c"),
        ("<ol type=a start=3><li>one<li value=27>two<li>three</ol>", "c. one\naa. two\nbb. three"),
        ("<ol type=I><li>one<li><b>two</b></ol><ol reversed><li>b<li>a</ol>", "I. one\nII. two\n\n2. b\n1. a"),
        ("<ol type=a><li>\n<p>one</p><p>two</p><li><div><p>three</p></div></ol>", "a. one\n\ntwo\n\nb. three"),
        ("<ol type=i start=0><li>one<li>two</ol>", "0. one\ni. two"),
        ("<ol><li>(a) own<li>1.2 own<li>II. own<li>A word</ol>", "(a) own\n1.2 own\nII. own\n4. A word"),
        ("<ol style='list-style-type: none'><li>one</ol><ol><li hidden>x<li>y</ol>", "- one\n\n1. y"),
    ],
)
def test_what_a_reader_sees(markup: str, text: str) -> None:
    assert html_text(markup) == text


HALF = "<mfrac><mn>1</mn><mi>x</mi></mfrac>"
TEX = '<annotation encoding="application/x-tex">\\frac{1}{x}</annotation>'


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        ("<math><mn>10</mn></math>", "10"),
        ("<math>\n <mn>2</mn> <mo>·</mo> <msup><mn>10</mn><mn>6</mn></msup>\n</math>", "2·10^{6}"),
        (f"<math><msub><mi>c</mi><mn>2</mn></msub><mo>=</mo>{HALF}</math>", "c_{2}=(1)/(x)"),
        ("<math><munderover><mo>∑</mo><mi>i</mi><mi>n</mi></munderover><mi>i</mi></math>", "∑_{i}^{n}i"),
        (f"<math><msqrt>{HALF}</msqrt><mroot><mn>8</mn><mn>3</mn></mroot></math>", "sqrt((1)/(x))root(8, 3)"),
        ("<math><mtable><mtr><mtd>1</mtd><mtd>2</mtd></mtr><mtr><mtd>3</mtd></mtr></mtable></math>", "1, 2; 3"),
        ("<math><mfenced><mi>a</mi><mi>b</mi></mfenced><mspace/><mtext>if</mtext></math>", "(a, b) if"),
        (f"<math><semantics>{HALF}{TEX}</semantics></math>", r"\frac{1}{x}"),
        (f'<math alttext="1/x">{HALF}</math>', "1/x"),
        (f"<mml:math>{HALF.replace('</', '</mml:').replace('<m', '<mml:m')}</mml:math>", "(1)/(x)"),
        ("<math></math>", "[formula]"),
        # as KaTeX, MathJax, kramdown and Wikipedia write them
        (
            f"<span class=katex><span class=katex-mathml><math><semantics>{HALF}{TEX}</semantics></math></span>"
            "<span class=katex-html aria-hidden=true><span>1x</span></span></span>",
            r"\frac{1}{x}",
        ),
        (
            f"<span class=MathJax><nobr aria-hidden=true><span>1x</span></nobr><span><math>{HALF}</math></span></span>"
            "<script type='math/tex' id=MathJax-1>1/x</script>",
            "(1)/(x)",
        ),
        ("<script type='math/tex'>a < b</script>", "a < b"),
        (
            f"<span style='display: none'><math>{HALF}</math></span>"
            "<img class='mwe-math-fallback-image-inline' alt='{\\displaystyle 1/x}'>",
            r"{\displaystyle 1/x}",
        ),
    ],
)
def test_formulae_stay_in_their_sentence(formula: str, text: str) -> None:
    assert html_text(f"<p>It is {formula} mg.</p>") == f"It is {text} mg."
    assert html_text(f"<table><tr><td>It is {formula} mg.<td>x</table>") == f"It is {text} mg. | x"
    whole, _ = fields_of_page(f"<p>It is {formula} mg.</p>".encode(), HtmlConfig(), None)
    assert whole["text"] == f"It is {text} mg."


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ("<td>Sales</td><td>$</td><td></td><td>1,234</td><td>)</td>", "Sales | $1,234)"),
        ("<td>Loss</td><td>(</td><td>5</td><td>)%</td><td>&nbsp;</td><td>—</td>", "Loss | (5)% | —"),
        ("<td><p>two</p><p>paragraphs</p></td><td>1<br>2</td>", "two paragraphs | 1 2"),
        ("<td>•</td><td>a point</td>", "• a point"),
        ("<td><p>A page</p><p>laid out.</p></td>", "A page\n\nlaid out."),
        ("<th>2023<th>2022", "2023 | 2022"),
        ("<td>a</td><td><table><tr><td>1</td><td>2</td></tr></table></td>", "a\n\n1 | 2"),
    ],
)
def test_a_row_of_a_table_is_a_line_of_its_cells(row: str, line: str) -> None:
    text = html_text(f"<p>before<table><tr>{row}</tr><tr><td>next</td><td>row</td></tr></table>after")
    assert text.replace("\n\nnext", "\nnext") == f"before\n\n{line}\nnext | row\n\nafter"


def test_tags_that_nobody_closed_are_read_and_what_is_deeper_is_refused() -> None:
    assert html_text("<font>" * 2_000 + "deep" + "<p>after") == "deep\n\nafter"
    with pytest.raises(MalformedError, match="unreadable HTML: Excessive depth"):
        html_text("<font>" * 3_000 + "deep")


def test_time_and_memory_are_in_proportion_to_the_page() -> None:
    page = "<table>" + "<tr><td style='display:none'>x</td><td>a</td><td>&nbsp;1</td></tr>" * 5_000 + "</table>"
    tracemalloc.start()
    begun = time.process_time()
    assert html_text(page).count("\n") == 4_999
    assert time.process_time() - begun < 10
    assert tracemalloc.get_traced_memory()[1] < 20 * len(page)
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("cells in a row", "<table><tr>" + "<td>1</td>" * 20_000),
        ("raised", "<p>" + "<sup>1</sup>a" * 20_000),
        ("hidden", "<p style='display:none'>x</p>" * 20_000),
        ("words of a style", "<p style='" + "none hidden " * 5_000 + "'>x"),
        ("spaces", "&nbsp;" * 100_000),
        ("formulae", "<math><msup><mn>1</mn><mn>2</mn></msup></math>" * 10_000),
        ("formulae in one another", "<math>" * 1_000 + "<mn>1</mn>"),
        ("a formula", "<math><mtable>" + "<mtr><mtd>1</mtd></mtr>" * 20_000),
        ("cells without a table", "<td> </td>" * 20_000),
        ("signs", "<" * 200_000),
        ("comments", "<!-- " * 50_000),
        ("tables in one another", "<table><tr><td>" * 600),
        ("quotes", "<a '" * 20_000 + '"' * 20_001),
        ("attributes", "<p " + " ".join(f"a{number}" for number in range(200_000)) + ">x"),
        ("attributes that are asked for", "<img " + "alt='' class=x " * 50_000 + ">x"),
        ("attributes in a script's tag", "<script " + "/".join(f"a{number}" for number in range(200_000)) + ">x"),
        ("attributes that nobody closed", "<p a='" * 50_000),
        ("a picture in an attribute", f"<img src='data:image/png;base64,{'ab/c' * 50_000}'>x"),
    ],
)
def test_no_page_takes_long(name: str, page: str) -> None:
    begun = time.process_time()
    with contextlib.suppress(MalformedError):
        html_text(page)
    assert time.process_time() - begun < 5, name
