import json
from pathlib import Path

from data.config import DecontaminationConfig
from data.corpus.decontaminate import load_items
from data.corpus.doubts import contamination_warnings, mostly_around, partly_undated, plain_as_html, short_items
from data.corpus.report import (
    contamination_report,
)
from data.readers.main_text import AROUND_MAIN, MOSTLY_AROUND
from data.sources.documents import PLAIN_AS_HTML
from tests.data.corpus.test_report import config_of, kept


def test_evaluation_items_of_which_too_much_is_met_are_named(tmp_path: Path) -> None:
    file = tmp_path / "items.jsonl"
    lines = ["one two three four five six seven eight nine", "short", "a b c d e f g h i j k l m n o"]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    one, _, other = (f"{file}:{line}" for line in (1, 2, 3))
    settings = DecontaminationConfig(paths=(str(file),))
    items = load_items(settings)
    news, wire = kept(documents=190), kept(documents=400)
    news.counts.dropped["contaminated"] = 10
    for number in range(3):
        news.counts.touch([one], f"news/{number}")
    news.counts.common.update({other: 180})
    wire.counts.touch([one], "wire/7")
    wire.counts.common.update({other: 4, one: 3})  # exactly 1 %, and that is not more
    report = contamination_report(
        settings, items, items.found("a b c d e f g h i j k l m"), {"news": news, "wire": wire}
    )
    assert report == {
        "items": 3,
        "too_short": 1,
        "action": "remove",
        "common_documents": 10,
        "touched": {one: {"documents": 4, "first": ["news/0", "news/1", "news/2", "wire/7"]}},
        "common": {other: {"documents": 184, "ngrams": 1, "of": 3}},
        "widespread": [
            {"item": one, "source": "news", "documents": 3, "contaminated": 3, "of": 200},
            {"item": other, "source": "news", "documents": 180, "contaminated": 0, "of": 200},
        ],
    }
    first, second, third = contamination_warnings(report)
    assert f"item {one} shares words with 3 of 200 training documents of source news: 3 of them removed" in first
    assert f"item {other} shares words with 180 of 200 training documents of source news: 0 of them removed" in second
    assert f"what more than 10 training documents have was found, which counts as a common phrase: 1: {other};" in third
    assert contamination_warnings(None) == []


def test_a_source_of_pages_of_which_much_is_taken_for_menus_is_named() -> None:
    site, filings = kept(documents=100), kept(documents=100)
    for result, number in ((site, 2), (filings, 1)):  # exactly 1 %, and that is not more
        result.counts.read = 100
        result.counts.left_out.update({AROUND_MAIN: 4_000, MOSTLY_AROUND: number})
    [line] = mostly_around({"site": site, "filings": filings})
    assert "'site': more than half of 2 of 100 pages is left out" in line


def test_a_source_of_plain_text_that_is_read_as_html_is_named() -> None:
    opinions, pages = kept(documents=100), kept(documents=100)
    for result, number in ((opinions, 2), (pages, 1)):
        result.counts.read = 100
        result.counts.left_out[PLAIN_AS_HTML] = number
    [line] = plain_as_html({"opinions": opinions, "pages": pages})
    assert line.startswith("source 'opinions': 2 of 100 texts are read as HTML and have no tag")


def test_evaluation_items_that_are_not_looked_for_are_said(tmp_path: Path) -> None:
    thai = "ศาลพิพากษาให้จำเลยชำระเงินจำนวนหนึ่งแสนบาทพร้อมดอกเบี้ยร้อยละเจ็ดครึ่งต่อปีนับแต่วันฟ้องจนกว่าจะชำระเสร็จแก่โจทก์"
    prose = "the lender of last resort lends freely at a high rate against good collateral"
    for texts, said in (([thai, "a short one", prose], "2 of 3 items have fewer than 8 words"), ([prose], "")):
        file = tmp_path / "items.txt"
        file.write_text("".join(f"{text}\n" for text in texts))
        config = config_of(decontamination={"paths": [str(file)]})
        assert config.decontamination
        items = load_items(config.decontamination)
        met = contamination_report(config.decontamination, items, items.found(""), {"news": kept()})
        lines = short_items(config, met)
        assert [said in line for line in lines] == [True] * bool(said)
    assert short_items(config_of(), None) == []


def test_undated_documents_beside_dated_ones_are_doubted() -> None:
    """Half of a source's records had their date under another name, and were trained on as if they had none."""
    for cutoff, undated, said in (("2017-01-01", 75, True), ("2017-01-01", 150, False), (None, 75, False)):
        config = config_of(
            cutoff=cutoff, sources=[{"name": "news", "path": "/nowhere", "undated": "train", "date_field": "date"}]
        )
        result = kept(documents=150)
        result.counts.read, result.counts.undated = 150, undated
        lines = partly_undated(config, {"news": result})
        assert [line.partition(", though")[0] for line in lines] == (
            ["source 'news': 75 of 150 records have no date and are trained on (undated: train)"] if said else []
        )
