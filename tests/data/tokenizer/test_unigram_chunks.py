"""Chunks cover the corpus in order, are learnt once, and give the same pieces whatever does the work."""

import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.tokenizer import unigram_chunks
from data.tokenizer.pretoken_counts import count_texts, training_facts
from data.tokenizer.pretokens import splitting
from data.tokenizer.text import find_chunks
from data.tokenizer.unigram import cut, learn_unigram, merge
from data.tokenizer.unigram_chunks import ChunkSettings, learn_chunks


def write(file: Path, texts: Sequence[str], rows: int) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"id": [*map(str, range(len(texts)))], "text": texts}), file, row_group_size=rows)
    return file


def make_texts(seed: int, count: int) -> list[str]:
    draw = random.Random(seed)
    stems = ["".join(draw.choices("abcdefgh", k=draw.randrange(2, 6))) for _ in range(30)]
    return [" ".join("".join(draw.choices(stems, k=2)) for _ in range(60)) for _ in range(count)]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, list[Path]]:
    return {
        "large": [write(tmp_path / f"large/{part}.parquet", make_texts(part, 40), rows=10) for part in range(2)],
        "small": [write(tmp_path / "small/0.parquet", make_texts(9, 5), rows=10)],
    }


def settings(**changes: Any) -> ChunkSettings:
    return ChunkSettings(splitting("bloomberggpt", "single"), 1.0, 330, 16)._replace(**changes)


@pytest.mark.parametrize("merged_at_once", [1, 500, 1 << 19])
def test_chunks_are_learnt_apart_and_merged(
    files: dict[str, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, merged_at_once: int
) -> None:
    monkeypatch.setattr(unigram_chunks, "MERGED_AT_ONCE", merged_at_once)
    chunks = find_chunks(files, 1)
    model, facts = learn_chunks(chunks, settings(), tmp_path / "work", workers=1)
    models, total = [], 0
    for chunk in chunks:
        (group,) = chunk
        texts = pq.ParquetFile(group.file).read_row_group(group.number)["text"].combine_chunks()
        counts = count_texts([texts], settings().split)
        total += training_facts(counts).distinct_pretokens
        models.append(learn_unigram(counts.text, counts.offsets, counts.counts, 330, 16))
    expected = merge(models)
    assert model.pieces.equals(expected.pieces)
    assert model.masses == pytest.approx(expected.masses)
    texts = [text for own in files.values() for file in own for text in pq.read_table(file)["text"].to_pylist()]
    assert (facts.documents, facts.bytes, facts.chunks) == (85, sum(map(len, texts)), 9)
    assert (facts.distinct_pretokens, facts.cut_pieces) == (total, 0)
    again, _ = learn_chunks(chunks, settings(), tmp_path / "other", workers=2)
    assert again.pieces.equals(model.pieces)
    assert np.array_equal(again.masses, model.masses)


def test_finished_chunks_are_not_learnt_again(files: dict[str, list[Path]], tmp_path: Path) -> None:
    chunks = find_chunks(files, 1)
    first, facts = learn_chunks(chunks, settings(), tmp_path / "work", workers=1)
    parts = sorted((tmp_path / "work").iterdir())
    assert len(parts) == len(chunks)
    parts[3].unlink()
    stamps = {part: part.stat().st_mtime_ns for part in parts if part.exists()}
    second, same = learn_chunks(chunks, settings(), tmp_path / "work", workers=1)
    assert {part: part.stat().st_mtime_ns for part in stamps} == stamps
    assert second.pieces.equals(first.pieces)
    assert np.array_equal(second.masses, first.masses)
    assert same == facts


def test_pieces_are_bounded_alike_by_any_number_of_workers(
    files: dict[str, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunks = find_chunks(files, 1)
    everything, _ = learn_chunks(chunks, settings(), tmp_path / "everything", workers=1)
    monkeypatch.setattr(unigram_chunks, "MERGED_AT_ONCE", 1)
    monkeypatch.setattr(unigram_chunks, "MOST_PIECES", 500)
    assert len(everything.pieces) > 550
    one, facts = learn_chunks(chunks, settings(), tmp_path / "one", workers=1)
    assert len(one.pieces) == 500
    assert facts.cut_pieces >= len(everything.pieces) - 500
    assert set(cut(everything, 350).pieces.to_pylist()) <= set(one.pieces.to_pylist())
    two, same = learn_chunks(chunks, settings(), tmp_path / "two", workers=2)
    assert two.pieces.equals(one.pieces)
    assert np.array_equal(two.masses, one.masses)
    assert same == facts


def test_chunks_of_other_settings_or_files_are_not_taken(files: dict[str, list[Path]], tmp_path: Path) -> None:
    work, chunks = tmp_path / "work", find_chunks(files, 1e9)
    learn_chunks(chunks, settings(), work, workers=1)
    for changes in ({"size": 300}, {"longest": 3}, {"fraction": 0.5}, {"split": splitting("words", "single")}):
        found, _ = learn_chunks(chunks, settings(**changes), work, workers=1)
        expected, _ = learn_chunks(chunks, settings(**changes), tmp_path / "other", workers=1)
        assert found.pieces.equals(expected.pieces), changes
        shutil.rmtree(tmp_path / "other")
    write(files["small"][0], make_texts(10, 5), rows=10)
    found, _ = learn_chunks(chunks, settings(), work, workers=1)
    expected, _ = learn_chunks(chunks, settings(), tmp_path / "other", workers=1)
    assert found.pieces.equals(expected.pieces)


def test_a_part_of_the_text_may_be_enough(files: dict[str, list[Path]], tmp_path: Path) -> None:
    _, facts = learn_chunks(find_chunks(files, 1e9), settings(fraction=0.25), tmp_path / "work", workers=1)
    assert 20 <= facts.documents <= 24
