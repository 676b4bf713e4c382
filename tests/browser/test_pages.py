"""The pages in headless Chromium: no request, no complaint, and values said to mouse, finger and keys."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evaluation.data_card.card import write_data_card
from evaluation.pages.charts import evenly
from evaluation.pages.report import ReportInputs, write_report
from evaluation.pages.spending import Spending
from evaluation.pages.tokenizer import write_tokenizer_page
from tests.chromium import Browser, browser
from tests.evaluation.pages.test_report import EVALUATION, metrics
from tests.traced import trace

pytestmark = pytest.mark.browser
PAGES = ("report.html", "tokenizer.html", "data_card.html")
PHONE, DESK = 390, 1200


@pytest.fixture(scope="module")
def pages(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every page: of a real small corpus and tokenizer, and of a made-up run."""
    folder = tmp_path_factory.mktemp("run") / "reports"
    folder.mkdir()
    (folder.parent / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in metrics()))
    (folder / "evaluate.json").write_text(json.dumps(EVALUATION))
    corpus, tokenizer = data_folder / "corpus", data_folder / "tokenizer"
    hours = {"training": 3.0, "repeated": 0.5, "other": 0.25}
    spending = Spending(hours, dict.fromkeys(hours, "what it was"), hours, "€", 13_500, 60, 2)
    inputs = ReportInputs(
        name="a run with a name_that_has_no_place_to_break_and_goes_on",
        metrics=folder.parent / "metrics.jsonl",
        evaluation=folder / "evaluate.json",
        corpus=corpus / "report.json",
        tokenizer=tokenizer / "report.json",
        samples=[{"prompt": "The Committee", "text": " decided to raise the target range."}],
        domain_sources=("speeches",),
        parameters=2_570_000,
        spending=spending,
    )
    write_report(inputs, folder)
    write_tokenizer_page(tokenizer / "report.json", folder, "small")
    write_data_card(corpus, tokenizer, data_folder / "shards", folder, "small", ["news"])
    return folder


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.mark.parametrize("page", PAGES)
def test_a_page_asks_for_nothing_complains_of_nothing_and_fits_the_screen(
    shown: Browser, pages: Path, page: str
) -> None:
    grounds = set()
    for width in (PHONE, DESK):
        for scheme in ("light", "dark"):
            shown.messages.clear()
            shown.requests.clear()
            shown.open(pages / page, width, scheme)
            assert shown.requests == [(pages / page).as_uri()]
            assert shown.messages == []
            assert shown.ask("document.documentElement.scrollWidth") <= width
            grounds.add(shown.ask("getComputedStyle(document.body).backgroundColor"))
            drawn = "[...document.querySelectorAll('figure')].map((one) => one.getBoundingClientRect().right)"
            assert max(shown.ask(drawn)) <= width
    assert len(grounds) == 2, "light and dark"


@pytest.mark.parametrize("page", PAGES)
def test_each_figure_is_what_its_fields_make(pages: Path, page: str) -> None:
    figures = trace(pages / page)
    assert len(figures) > 20
    assert [made for made in figures if made[0] != made[1]] == []


@pytest.mark.parametrize("page", PAGES)
def test_keys_reach_every_plot_and_each_of_its_values(shown: Browser, pages: Path, page: str) -> None:
    shown.open(pages / page, PHONE)
    count = shown.ask("document.querySelectorAll('figure').length")
    reached: dict[int, tuple[str, str]] = {}
    place = "[...document.querySelectorAll('figure')].indexOf(document.activeElement)"
    said = "document.activeElement.querySelector('output').textContent"
    for _ in range(shown.ask("document.querySelectorAll('[tabindex], a, summary').length") + 1):
        shown.press("Tab")
        if (found := shown.ask(place)) >= 0:
            if found in reached:  # what is folded away is no stop, and behind the last one the first follows
                break
            first = shown.ask(said)
            shown.press("End")
            reached[found] = first, shown.ask(said)
    assert list(reached) == list(range(count)), "in the order of the page"
    for number, (first, last) in reached.items():
        values = shown.ask(_values(number))
        assert first.partition(": ")[2] == values[0]
        assert last.partition(": ")[2] == values[-1]


def _values(number: int) -> str:
    """Text and origin of all values of a plot, a drawing's down the columns of its table."""
    return f"""(() => {{
        const figure = document.querySelectorAll("figure")[{number}];
        const values = [...figure.querySelectorAll("[data-source]")];
        if (figure.querySelector("svg"))
            values.sort((a, b) => a.closest("td").cellIndex - b.closest("td").cellIndex);
        return values.map((value) => value.textContent + " · " + value.title);
    }})()"""


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_a_curve_says_the_value_under_the_mouse_or_finger(shown: Browser, pages: Path, width: int) -> None:
    shown.open(pages / "report.html", width)
    shown.ask("""window.plot = document.querySelector("figure[aria-label^='Training loss']");
        plot.scrollIntoView({block: "center"})""")
    box = shown.ask("""(() => {
        const drawing = [...plot.querySelectorAll("svg")].find((one) => one.getClientRects().length);
        const box = drawing.querySelectorAll(".mark")[60].getBoundingClientRect();
        return [box.left + box.width / 2, box.top + box.height / 2]; })()""")
    place = evenly(1200)[60]
    line = [line for line in metrics() if "loss" in line][place]
    number = place + place // 100  # an evaluation's line follows a hundred steps'
    for reach in (shown.point, shown.touch):
        shown.point(1, 1)
        reach(*box)
        said = f"step {line['step']:,}, recorded: {line['loss']:,.3f} · ../metrics.jsonl#/{number}/loss"
        assert shown.ask("plot.querySelector('output').textContent") == said
        assert shown.ask("plot.querySelectorAll('svg .on').length") == 1


def test_a_table_says_where_a_number_is_from(shown: Browser, pages: Path) -> None:
    shown.open(pages / "report.html", DESK)
    cell: Any = "[...document.querySelectorAll('.panel td span')].find((one) => one.textContent === '1.410')"
    shown.ask(f"{cell}.scrollIntoView({{block: 'center'}})")
    box = shown.ask(f"(() => {{ const box = {cell}.getBoundingClientRect(); return [box.left + 2, box.top + 2]; }})()")
    shown.point(*box)
    said = shown.ask(f"{cell}.closest('.asked').querySelector('output').textContent")
    assert said == "speeches, future, model: 1.410 · evaluate.json#/sources/speeches/future/bits_per_byte"


@pytest.mark.parametrize("page", PAGES)
def test_on_paper_nothing_is_cut_off(shown: Browser, pages: Path, page: str) -> None:
    shown.open(pages / page, 690)  # of A4's width less its margins, in pixels
    shown.send("Emulation.setEmulatedMedia", media="print", features=[])
    assert shown.ask("document.documentElement.scrollWidth") <= 690
    assert shown.ask("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    shown.send("Emulation.setEmulatedMedia", media="", features=[])
