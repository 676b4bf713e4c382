"""The data card: made of a real corpus and its shards, refused as soon as one of their sums is not the other's."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.corpus.build import prepare_corpus
from data.errors import DataError
from data.files import MANIFEST, finish_stage, stage_digest
from data.shards.encode import encode_corpus
from data.shards.format import Manifest, ShardFile, SourceShards, read_manifest, write_manifest
from data.tokenizer.build import build_tokenizer
from evaluation.data_card.card import write_data_card
from tests.traced import trace
from train.config_file import load_config

MARKUP = "<script>alert(1)</script> & <img src=x onerror=alert(1)>"
SOURCE_FIELDS: dict[str, Any] = {
    "licence": "CC-BY-4.0",
    "language": "en",
    "scrubbed": {"email": 3, "iban": 0},
    "removed_lines": 7,
    "samples": {"too short": [{"id": MARKUP, "file": f"{MARKUP}.jsonl", "line": 4, "text": MARKUP * 3}]},
}
REPORT_FIELDS: dict[str, Any] = {
    "near_duplicates": {
        "threshold": 0.8,
        "bands": 14,
        "rows": 8,
        "ngram": 5,
        "found": {"0.5": 0.0, "0.75": 0.7, "0.85": 0.998, "0.9": 1.0},
    },
    "contamination": {
        "items": 9,
        "too_short": 2,
        "action": "flag",
        "touched": {f"{MARKUP}:1": {"documents": 2, "first": ["n1", "n2"]}},
        "common_documents": 10,
        "common": {f"{MARKUP}:3": {"documents": 180, "ngrams": 9, "of": 12}},
        "widespread": [
            {"item": f"{MARKUP}:3", "source": "news", "documents": 180, "contaminated": 0, "of": 200},
        ],
    },
    "tombstones": 1,
    "cutoff": "2017-01-01",
    "seed": 7,
}


@dataclasses.dataclass(frozen=True)
class Folders:
    corpus: Path
    tokenizer: Path
    shards: Path

    def write_card(self) -> Path:
        reports = self.corpus.parent / "reports"
        return write_data_card(self.corpus, self.tokenizer, self.shards, reports, "<fed>", ["news"])


@pytest.fixture(scope="module")
def made(write_small_config: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """A corpus whose report says everything, a tokenizer and shards."""
    folder = tmp_path_factory.mktemp("card")
    config = load_config(write_small_config(folder / "run.yaml", folder / "run"), ["data.workers=1"])
    found = Folders(config.corpus, config.tokenizer_folder, config.shards)
    prepare_corpus(config.data, found.corpus, config.seed)
    report = json.loads((found.corpus / "report.json").read_text())
    for name, source in report["sources"].items():
        documents = sum(kept["documents"] for kept in source["kept"].values())
        source |= SOURCE_FIELDS | {"path": f"{MARKUP}/{name}"}
        source["licences"] = {MARKUP: documents - 2, "unknown": 2}
    write_report(found.corpus, report | REPORT_FIELDS)
    build_tokenizer(config.tokenizer, found.corpus, found.tokenizer)
    encode_corpus(found.corpus, found.tokenizer, found.shards, config.seed)
    return found


@pytest.fixture
def folders(made: Folders, tmp_path: Path) -> Folders:
    """A copy to change."""
    shutil.copytree(made.corpus.parent, tmp_path / "run")
    return Folders(*(tmp_path / "run" / getattr(made, field.name).name for field in dataclasses.fields(made)))


def write_report(corpus: Path, report: dict[str, Any]) -> None:
    """Replace the report of a finished corpus, and finish it again."""
    manifest = json.loads((corpus / MANIFEST).read_text())
    (corpus / "report.json").write_text(json.dumps(report))
    finish_stage(corpus, manifest["inputs"], [corpus / name for name in manifest["files"]])


def change_report(folders: Folders, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the report and let the shards' manifest know the corpus that it is part of now."""
    report = json.loads((folders.corpus / "report.json").read_text())
    change(report)
    write_report(folders.corpus, report)
    manifest = read_manifest(folders.shards)
    write_manifest(folders.shards, dataclasses.replace(manifest, corpus_digest=stage_digest(folders.corpus)))


def change_manifest(folders: Folders, change: Callable[[ShardFile], ShardFile]) -> None:
    """Change the first file of train/news in the manifest."""
    manifest: Manifest = read_manifest(folders.shards)
    first, *rest = manifest.splits["train"]["news"].files
    train = manifest.splits["train"] | {"news": SourceShards((change(first), *rest))}
    write_manifest(folders.shards, dataclasses.replace(manifest, splits=manifest.splits | {"train": train}))


def test_every_sum_is_the_manifests(folders: Folders) -> None:
    folders.write_card()
    card = json.loads((folders.corpus.parent / "reports" / "data_card.json").read_text())
    manifest = read_manifest(folders.shards)
    assert card["digests"]["shards"] == manifest.digest
    assert card["digests"]["corpus"] == manifest.corpus_digest == stage_digest(folders.corpus)
    everything = {"documents": 0, "tokens": 0, "bytes": 0}
    for split, sources in manifest.splits.items():
        for name, shards in sources.items():
            kept = card["sources"][name]["kept"][split]
            sums = {unit: getattr(shards, unit) for unit in everything}
            for groups in ("years", "lengths"):
                assert {unit: sum(group[unit] for group in kept[groups].values()) for unit in everything} == sums
            assert {unit: kept[unit] for unit in everything} == sums
            everything = {unit: everything[unit] + sums[unit] for unit in everything}
    assert {unit: card["totals"][unit] for unit in everything} == everything
    assert list(card["sources"]["general"]["kept"]["train"]["years"]) == ["undated"]
    report = json.loads((folders.corpus / "report.json").read_text())
    assert card["sources"]["news"]["dropped"] == report["sources"]["news"]["dropped"]
    assert {key: card[key] for key in REPORT_FIELDS} == REPORT_FIELDS
    assert len(card["checks"]) == 4
    assert [name for name, source in card["sources"].items() if source["domain"]] == ["news"]


def test_the_page_begins_with_what_the_corpus_is_and_escapes_data(
    folders: Folders, read_page: Callable[[Path], Any]
) -> None:
    path = folders.write_card()
    page, reports = read_page(path), path.parent
    manifest = read_manifest(folders.shards)
    documents = sum(shards.documents for sources in manifest.splits.values() for shards in sources.values())
    first = page.words.index(f"{documents:,} documents of 2 sources, of which news is the domain's")
    order = [first, *(page.words.index(title) for title in ("records read", "At a glance", "Checked when", "Sources"))]
    assert order == sorted(order)
    assert page.words.count(MARKUP) >= 8
    assert "None of the" in page.words
    assert "5-word sequences is about 0.8 or more" in page.words
    assert "this share is found and one of the two dropped: 0.75: 70 %, 0.85: 99.8 %." in page.words
    assert "more than 10 training documents have are common phrases" in page.words
    assert "shares words with 180 of 200 training documents of news, 0 of them contaminated" in page.words
    assert len([tag for tag, _ in page.tags if tag == "figure"]) == 4 == len(list(reports.glob("*.png")))
    assert all(shown == made for shown, made, _ in trace(reports / "data_card.html"))


def test_equal_inputs_are_equal_bytes(folders: Folders) -> None:
    page = folders.write_card()
    first = {file.name: file.read_bytes() for file in page.parent.iterdir()}
    folders.write_card()
    assert {file.name: file.read_bytes() for file in page.parent.iterdir()} == first


def test_shards_of_another_corpus_or_tokenizer_are_refused(folders: Folders) -> None:
    report = json.loads((folders.corpus / "report.json").read_text())
    write_report(folders.corpus, report | {"tombstones": 2})
    with pytest.raises(DataError, match=r"was not made from .*corpus as it is now: run `domainlm tokenize CONFIG`"):
        folders.write_card()
    write_report(folders.corpus, report)
    file = folders.tokenizer / "tokenizer.json"
    file.write_text(file.read_text() + "\n")
    with pytest.raises(DataError, match=r"was not made from .*tokenizer as it is now"):
        folders.write_card()
    assert not (folders.corpus.parent / "reports").exists()


@pytest.mark.parametrize(
    ("field", "what"), [("documents", "documents"), ("bytes", "bytes of text"), ("tokens", "tokens")]
)
def test_a_manifest_that_says_something_else_is_refused(folders: Folders, field: str, what: str) -> None:
    change_manifest(folders, lambda file: dataclasses.replace(file, **{field: getattr(file, field) + 1}))
    with pytest.raises(
        DataError, match=rf"^train/news: {what} do not agree: .*the shards' manifest says [\d,]+, "
    ) as error:
        folders.write_card()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [("bytes", 5, "bytes of text"), ("first_date", "1990-01-01", "first date"), ("last_date", None, "last date")],
)
def test_a_report_that_says_something_else_is_refused(folders: Folders, field: str, value: Any, what: str) -> None:
    change_report(folders, lambda report: report["sources"]["news"]["kept"]["train"].update({field: value}))
    with pytest.raises(DataError, match=rf"^train/news: {what} do not agree: the corpus's report says "):
        folders.write_card()


def test_a_source_that_only_one_side_knows_is_refused(folders: Folders) -> None:
    change_report(folders, lambda report: report["sources"].pop("general"))
    with pytest.raises(DataError, match=r"/general: documents do not agree: the corpus's report says 0, "):
        folders.write_card()


@pytest.mark.parametrize(("cutoff", "place"), [("2016-01-01", "train/news"), ("2018-01-01", "future/news")])
def test_documents_on_the_wrong_side_of_the_cutoff_are_refused(folders: Folders, cutoff: str, place: str) -> None:
    change_report(folders, lambda report: report.update(cutoff=cutoff))
    with pytest.raises(DataError, match=rf"{place} has a document dated .*, on the wrong side of the cutoff {cutoff}"):
        folders.write_card()


def test_the_day_of_the_cutoff_is_later_text(folders: Folders) -> None:
    kept = json.loads((folders.corpus / "report.json").read_text())["sources"]["news"]["kept"]
    change_report(folders, lambda report: report.update(cutoff=kept["future"]["first_date"]))
    folders.write_card()
    change_report(folders, lambda report: report.update(cutoff=kept["train"]["last_date"]))
    with pytest.raises(DataError, match=f"train/news has a document dated {kept['train']['last_date']}, on the wrong"):
        folders.write_card()
