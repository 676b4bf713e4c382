"""An index is of the training text that is there, made in pieces that are kept where nothing has changed."""

import datetime
import json
from pathlib import Path

import numpy as np
import pytest

from data.config import CANARIES, DataConfig, NearDuplicateConfig
from data.corpus.build import prepare_corpus
from data.corpus.tombstones import TOMBSTONES, Request, forget
from data.errors import DataError
from data.retrieval import build
from data.retrieval.build import build_index, index_inputs
from data.retrieval.search import Search, open_index


def records(first: int, last: int) -> str:
    texts = {
        number: f"Report {number} of the wool trade, with figure {number * 37}. " * 5 for number in range(first, last)
    }
    rows = [{"id": f"r{number}", "date": f"20{number % 20:02d}-02-03", "text": text} for number, text in texts.items()]
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def config(tmp_path: Path) -> DataConfig:
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "0.jsonl").write_text(records(0, 40), "utf-8")
    return DataConfig.model_validate(
        {
            "sources": [{"name": "reports", "path": str(tmp_path / "reports")}],
            "past_fraction": 0.0,
            "near_duplicates": None,
            "workers": 1,
            "canaries": {"number": 2, "repeats": [1], "form": "Canary of wool account {account} is {code}, no other."},
        }
    )


def built(config: DataConfig, folder: Path) -> Search:
    prepare_corpus(config, folder / "corpus", seed=0)
    build_index(config, folder / "corpus", folder / "retrieval", 50)
    return Search(open_index(folder / "retrieval", index_inputs(config, folder / "corpus", 50, None)), "bm25")


def ids(search: Search, question: str = "wool") -> set[str]:
    return {passage.id for passage in search.find(question, 1000)}


def test_canaries_are_not_indexed(config: DataConfig, tmp_path: Path) -> None:
    search = built(config, tmp_path)
    assert ids(search) == {f"r{number}" for number in range(40)}
    assert not search.find("canary", 10)
    assert (tmp_path / "corpus" / "train" / CANARIES).exists()


def test_it_is_made_once_and_again_when_the_corpus_has_changed(
    config: DataConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data.sources.parts.GROUP_BYTES", 1)  # each file is a part of its own
    built(config, tmp_path)
    stamp = (tmp_path / "retrieval" / "manifest.json").stat().st_mtime_ns
    built(config, tmp_path)
    assert "retrieval is up to date" in capsys.readouterr().err
    assert (tmp_path / "retrieval" / "manifest.json").stat().st_mtime_ns == stamp
    (tmp_path / "reports" / "1.jsonl").write_text(records(40, 60), "utf-8")
    assert ids(built(config, tmp_path)) == {f"r{number}" for number in range(60)}
    assert "index: 1 of 2 pieces of the corpus are as they were" in capsys.readouterr().err


def test_changed_parts_give_the_index_that_a_new_one_would_be(config: DataConfig, tmp_path: Path) -> None:
    built(config, tmp_path)
    (tmp_path / "reports" / "1.jsonl").write_text(records(40, 60), "utf-8")
    built(config, tmp_path)
    build_index(config, tmp_path / "corpus", tmp_path / "fresh", 50)
    for file in sorted((tmp_path / "fresh").rglob("*.*")):
        if file.name != "manifest.json":
            assert file.read_bytes() == (tmp_path / "retrieval" / file.relative_to(tmp_path / "fresh")).read_bytes()


def test_within_a_file_what_has_not_changed_is_kept(
    config: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred documents in ten pieces: one more is the work of one piece, and so is one that has changed."""
    monkeypatch.setattr("data.corpus.staging.ROWS_PER_GROUP", 5)
    monkeypatch.setattr(build, "PIECE_GROUPS", 2)
    made: list[build.PieceJob] = []
    make_piece = build._make_piece
    monkeypatch.setattr(build, "_make_piece", lambda job: (made.append(job), make_piece(job))[1])
    file = tmp_path / "reports" / "0.jsonl"
    lines = records(0, 100).splitlines(keepends=True)
    changed = lines[47].replace("wool", "cotton")
    for content, remade in (
        (lines, 10),
        ([*lines, records(100, 101)], 1),
        ([*lines[:47], changed, *lines[48:]], 1),
        ([*lines[:47], changed.replace(" 47 ", " "), *lines[48:]], 1),
    ):
        file.write_text("".join(content), "utf-8")
        made.clear()
        search = built(config, tmp_path)
        assert len(made) == remade
        assert len(ids(search, "report")) == len(content)
    assert ids(search, "cotton") == {"r47"}


def test_an_interrupted_build_is_no_index_and_goes_on(
    config: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(build, "_merge", lambda *of_it: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            built(config, tmp_path)
    wanted = index_inputs(config, tmp_path / "corpus", 50, None)
    with pytest.raises(DataError, match="is no finished index of the corpus: run `domainlm retrieve CONFIG`"):
        open_index(tmp_path / "retrieval", wanted)
    pieces = {file: file.stat().st_mtime_ns for file in (tmp_path / "retrieval" / "pieces").iterdir()}
    assert ids(built(config, tmp_path)) == {f"r{number}" for number in range(40)}
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "retrieval" / "pieces").iterdir()} == pieces


def test_what_is_to_be_forgotten_goes_at_the_next_build(
    config: DataConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the corpus is made again, and no file of the index has its text."""
    search = built(config, tmp_path)
    (passage,) = [passage for passage in search.find("figure", 1000) if passage.id == "r7"][:1]
    text = f"Report 7 of the wool trade, with figure {7 * 37}. " * 5
    request = Request("reports", "r7", text.strip())
    forget(tmp_path / TOMBSTONES, [request], NearDuplicateConfig(), datetime.date(2026, 1, 1))
    with pytest.raises(DataError, match=r"older corpus.*changed: tombstones"):
        open_index(tmp_path / "retrieval", index_inputs(config, tmp_path / "corpus", 50, None))
    build_index(config, tmp_path / "corpus", tmp_path / "retrieval", 50)
    assert "index: 1 documents that are to be forgotten are left out" in capsys.readouterr().err
    again = Search(open_index(tmp_path / "retrieval", index_inputs(config, tmp_path / "corpus", 50, None)), "bm25")
    assert ids(again) == ids(search) - {"r7"}
    for file in (tmp_path / "retrieval").rglob("*"):
        assert file.is_dir() or passage.text[:40].encode() not in file.read_bytes()


def test_text_that_is_no_text_and_a_corpus_that_is_none_are_refused(config: DataConfig, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="run `domainlm prepare CONFIG` first"):
        build_index(config, tmp_path / "corpus", tmp_path / "retrieval", 50)
    built(config, tmp_path)
    changed = config.model_copy(update={"cutoff": datetime.date(2005, 1, 1)})
    with pytest.raises(DataError, match=r"was made with data\.cutoff null, which is .* now"):
        build_index(changed, tmp_path / "corpus", tmp_path / "retrieval", 50)


def test_entries_of_a_word_are_in_the_order_of_days(config: DataConfig, tmp_path: Path) -> None:
    index = built(config, tmp_path).index
    assert (np.diff(index.days) >= 0).all()
    for first, end in zip(index.postings.firsts[:-1], index.postings.firsts[1:], strict=True):
        assert (np.diff(index.postings.passages[first:end].astype(np.int64)) > 0).all()
