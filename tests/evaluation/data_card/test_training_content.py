"""The summary of the training content: what the data card knows is in it, what nobody knows is a gap."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.corpus.build import prepare_corpus
from data.shards.encode import encode_corpus
from data.source_config import SourceConfig
from data.tokenizer.build import build_tokenizer
from evaluation.data_card.card import write_data_card
from evaluation.data_card.training_content import write_training_content
from tests.data.corpus.test_build import config_of, record, write_jsonl
from train.config_file import load_config

HOSTS = ["www.example.org", "example.com", "news.example.com"]


def addressed(index: int) -> dict[str, Any]:
    return record(index, url=f"https://{HOSTS[index % 3]}/page/{index}" if index % 10 else None, licence="CC0")


@pytest.fixture(scope="module")
def card(write_small_config: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A corpus of two sources, and the folder of its data card."""
    folder = tmp_path_factory.mktemp("content")
    config = load_config(
        write_small_config(folder / "run.yaml", folder / "run"), ["data.workers=1", "tokenizer.vocabulary_size=300"]
    )
    web = write_jsonl(folder / "web.jsonl", [addressed(index) for index in range(100)])
    notes = write_jsonl(folder / "notes.jsonl", [record(index) for index in range(1000, 1040)])
    data = config_of(web, notes, cutoff="2002-11-01")
    prepare_corpus(data, folder / "corpus", 1)
    build_tokenizer(config.tokenizer, folder / "corpus", folder / "tokenizer")
    encode_corpus(folder / "corpus", folder / "tokenizer", folder / "shards", 1)
    write_data_card(folder / "corpus", folder / "tokenizer", folder / "shards", folder, "fed", [])
    return folder / "corpus", folder


def written(card: tuple[Path, Path], *sources: dict[str, Any], base: str | None = None) -> str:
    corpus, folder = card
    configured = [SourceConfig(name=f"source_{place}", path="x", **one) for place, one in enumerate(sources)]
    facts = json.loads((folder / "data_card.json").read_bytes())
    return write_training_content(facts, corpus, configured, base, folder).read_text("utf-8")


def test_what_the_card_knows_is_filled_in_and_the_rest_is_a_gap(card: tuple[Path, Path]) -> None:
    text = written(card, {"origin": "crawled", "description": "Pages of banks"}, {"origin": "own"})
    facts = json.loads((card[1] / "data_card.json").read_bytes())["sources"]
    tokens = {name: facts[name]["kept"]["train"]["tokens"] for name in facts}
    assert f"| text | {sum(tokens.values()):,} |" in text
    crawled = text[text.index("### 2.3") : text.index("### 2.4")]
    assert f"| source_0 | Pages of banks | 100 | {tokens['source_0']:,} |" in crawled
    assert "CC0 (100)" in crawled
    assert "2000-01-01 to 2000-04-09" in crawled
    own = text[text.index("### 2.6") : text.index("## 3")]
    assert "| source_1 | **[to be written: what it is" in own
    assert "None is named in the configuration." in text[text.index("### 2.1") : text.index("### 2.2")]
    assert "Documents of 2002-11-01 and later were left out." in text
    assert "the configuration does not say where the text is from" not in text
    for asked in ("name and contact details", "of each crawler", "policy is published", "measures against illegal"):
        assert re.search(rf"\[to be written: [^]]*{asked}|{asked}[^\n]*\[to be written", text, re.IGNORECASE), asked


def test_hosts_of_crawled_text_are_listed_by_size(card: tuple[Path, Path]) -> None:
    text = written(card, {"origin": "crawled"}, {"origin": "own"})
    assert "Hosts of source_0: 3, of which the largest by bytes of text are; " in text
    rows = re.findall(r"^\| ([a-z.]+\.[a-z]+) \| .* \| ([0-9.]+) % \|$", text, re.M)
    assert len(rows) == 1  # a tenth, one at least
    assert rows[0][0] in {"example.org", "example.com", "news.example.com"}
    assert 28 < float(rows[0][1]) < 33


def test_sources_without_an_origin_are_named_before_all_sections(card: tuple[Path, Path]) -> None:
    text = written(card, {"origin": "public"}, {})
    assert "**Of 1 source the configuration does not say where the text is from" in text
    assert text.index("| source_1 |") < text.index("### 2.1") < text.index("| source_0 |")


def test_a_base_is_referred_to(card: tuple[Path, Path]) -> None:
    assert "none, trained from scratch" in written(card, {}, {})
    assert "SmolLM2-135M, whose own summary is to be referred to" in written(card, {}, {}, base="SmolLM2-135M")


def test_a_licence_does_not_break_the_table(card: tuple[Path, Path]) -> None:
    corpus, folder = card
    facts = json.loads((folder / "data_card.json").read_bytes())
    facts["sources"]["source_0"]["licences"] = {"a|b\nc": 100}
    sources = [SourceConfig(name="source_0", path="x"), SourceConfig(name="source_1", path="x")]
    text = write_training_content(facts, corpus, sources, None, folder / "other").read_text("utf-8")
    assert "a/b c (100)" in text
