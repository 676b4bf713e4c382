"""Packings: what they count, when they are made again, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.errors import DataError
from data.shards.packing import describe, pack_shards, packing_folder, read_packing, verify_packing

Write = Callable[..., Path]
LENGTHS = {"news": [4, 30, 9, 2], "web": [19, 0, 7]}  # with their ends 5, 31, 10, 3 and 20, 1, 8


@pytest.fixture
def shards(tmp_path: Path, write_training_shards: Write) -> Path:
    return write_training_shards(tmp_path / "shards", LENGTHS, tokens_per_shard=40)


def test_best_fit_counts_and_bytes(shards: Path) -> None:
    packing = pack_shards(shards, "best_fit", 10)
    news, web = packing.sources["news"], packing.sources["web"]
    # news: the first file is 5, 31 and 10, the second 3; the document of 31 fills three rows, and 1 is left over
    assert (news.tokens, news.documents, news.rows) == ((46, 3), (3, 1), (5, 1))
    assert (news.padding, news.cut_documents, news.cut_needlessly) == ((4, 7), (1, 0), (0, 0))
    assert (web.tokens, web.rows, web.padding) == ((29,), (3,), (1,))
    numbers = np.fromfile(shards / "packed/best_fit-10/train/news-00000.rows", "<i4").tolist()
    assert numbers == [0, 1, 2, 3, 4, 6, *(5, 10), *(15, -10), *(25, -10), *(36, 10), *(0, 5), *(35, -1)]
    assert packing.padding() == pytest.approx(12 / 90)
    assert "9 rows, 13.333% padding, no token dropped; 28.6% of the documents cut" in describe(packing)


def test_concatenate_counts_what_it_cuts(shards: Path) -> None:
    packing = pack_shards(shards, "concatenate", 10)
    news, web = packing.sources["news"], packing.sources["web"]
    assert (news.rows, news.padding) == ((5, 1), (4, 7))
    assert (news.cut_documents, news.cut_needlessly) == ((2, 0), (1, 0))
    assert (web.rows, web.padding, web.cut_documents, web.cut_needlessly) == ((3,), (1,), (1,), (0,))
    assert not list(shards.glob("packed/concatenate-10/train/*"))


def test_what_is_there_is_kept(shards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = pack_shards(shards, "best_fit", 10)
    path = shards / "packed/best_fit-10/train/web-00000.rows"
    stamp = path.stat().st_mtime_ns
    assert pack_shards(shards, "best_fit", 10) == first
    assert path.stat().st_mtime_ns == stamp
    assert "is up to date" in capsys.readouterr().err
    path.write_bytes(b"\0" * path.stat().st_size)
    assert pack_shards(shards, "best_fit", 10) == first
    assert "redoing" in capsys.readouterr().err


def test_the_result_does_not_depend_on_the_workers(shards: Path) -> None:
    alone = pack_shards(shards, "best_fit", 10, workers=1)
    files = {path: path.read_bytes() for path in sorted(shards.glob("packed/**/*.rows"))}
    (shards / "packed/best_fit-10/manifest.json").unlink()
    assert pack_shards(shards, "best_fit", 10, workers=2) == alone
    assert files == {path: path.read_bytes() for path in sorted(shards.glob("packed/**/*.rows"))}


def test_other_shards_are_noticed(shards: Path, write_training_shards: Write) -> None:
    pack_shards(shards, "best_fit", 10)
    write_training_shards(shards, LENGTHS | {"web": [3]}, tokens_per_shard=40)
    with pytest.raises(DataError, match=r"was made for other shards than those in .*: run `domainlm tokenize CONFIG`"):
        read_packing(shards, "best_fit", 10)
    assert pack_shards(shards, "best_fit", 10).sources["web"].tokens == (4,)


def test_a_packing_that_is_not_there_is_named(shards: Path) -> None:
    with pytest.raises(DataError, match=r"packed/best_fit-11/manifest.json does not exist: run `domainlm tokenize"):
        read_packing(shards, "best_fit", 11)


def change_sources(content: dict[str, Any]) -> None:
    content["sources"]["../news"] = content["sources"].pop("news")


@pytest.mark.parametrize("change", [change_sources, lambda content: content.update(format=0), dict.clear])
def test_an_edited_manifest_is_refused(shards: Path, change: Callable[[dict[str, Any]], None]) -> None:
    pack_shards(shards, "best_fit", 10)
    path = packing_folder(shards, "best_fit", 10) / "manifest.json"
    content = json.loads(path.read_bytes())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"edited or damaged|is damaged"):
        read_packing(shards, "best_fit", 10)


@pytest.mark.parametrize("content", ["[1, 2]", "null", "{"])
def test_a_manifest_that_is_no_record_is_refused(shards: Path, content: str) -> None:
    pack_shards(shards, "best_fit", 10)
    (packing_folder(shards, "best_fit", 10) / "manifest.json").write_text(content)
    with pytest.raises(DataError, match="is damaged: run `domainlm tokenize"):
        read_packing(shards, "best_fit", 10)


def test_damaged_rows_are_found(shards: Path) -> None:
    packing = pack_shards(shards, "best_fit", 10)
    verify_packing(shards, packing)
    path = shards / "packed/best_fit-10/train/news-00001.rows"
    path.write_bytes(path.read_bytes()[:-1])
    verify_packing(shards, packing, part=0, parts=3)
    with pytest.raises(DataError, match=r"news-00001.rows is missing or damaged"):
        verify_packing(shards, packing, part=1, parts=3)
