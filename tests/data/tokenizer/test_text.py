"""Samples come from all over the text, in proportion to the fraction, always the same."""

import itertools
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.corpus.files import RowGroup
from data.tokenizer.text import (
    bytes_by_source,
    find_chunks,
    measured_texts,
    read_groups,
    read_texts,
    sample_texts,
)


def sample(texts: list[str], fraction: float) -> list[str]:
    batches = (pa.array(texts[first : first + 7], pa.string()) for first in range(0, len(texts), 7))
    return [text for batch in sample_texts(batches, fraction) for text in batch.to_pylist()]


def test_a_sample_is_spread_over_the_text() -> None:
    texts = [f"{number:04d}" * 25 for number in range(1_000)]
    chosen = sample(texts, 0.25)
    places = [texts.index(text) for text in chosen]
    assert len(chosen) == 250
    assert max(later - earlier for earlier, later in itertools.pairwise(places)) <= 5
    assert sample(texts, 1.0) == texts
    assert len(sample(texts, 1e-9)) == 1


@given(st.lists(st.text(max_size=50), min_size=1), st.floats(0.01, 1))
def test_a_sample_has_about_the_fraction(texts: list[str], fraction: float) -> None:
    sizes = [len(text.encode()) for text in texts]
    chosen = sample(texts, fraction)
    assert abs(sum(len(text.encode()) for text in chosen) - fraction * sum(sizes)) <= max(sizes)
    assert chosen


def make_corpus(folder: Path, splits: dict[str, dict[str, list[str]]]) -> Path:
    sources: dict[str, dict[str, dict[str, dict[str, int]]]] = {}
    for split, own in splits.items():
        for source, texts in own.items():
            file = folder / split / source / "00000.parquet"
            file.parent.mkdir(parents=True)
            pq.write_table(pa.table({"text": texts}), file)
            kept = sources.setdefault(source, {"kept": {}})["kept"]
            kept[split] = {"documents": len(texts), "bytes": sum(len(text.encode()) for text in texts)}
    (folder / "report.json").write_text(json.dumps({"sources": sources}))
    return folder


@pytest.mark.parametrize("split", ["past", "train"])
def test_the_measured_text_is_held_out_where_there_is_such(tmp_path: Path, split: str) -> None:
    train = {"news": ["abc", "dé"], "web": ["x" * 100] * 50}
    corpus = make_corpus(tmp_path, {"train": train} | ({"past": {"web": ["held", "out"]}} if split == "past" else {}))
    assert bytes_by_source(corpus, "train") == {"news": 6, "web": 5_000}
    found, texts = measured_texts(corpus, 1_000)
    assert found == split
    if split == "past":
        assert texts == {"web": ["held", "out"]}
    else:
        assert texts == {"news": ["abc", "dé"], "web": ["x" * 100] * 10}
    (batch,) = read_texts([corpus / "train" / "news" / "00000.parquet"])
    assert batch.to_pylist() == ["abc", "dé"]


def test_chunks_are_runs_of_row_groups_of_one_source(tmp_path: Path) -> None:
    files: dict[str, list[Path]] = {"large": [tmp_path / "0", tmp_path / "1"], "small": [tmp_path / "2"]}
    texts = [f"{number:05d}" * 20 for number in range(85)]
    for number, file in enumerate([*files["large"], *files["small"]]):
        own = texts[40 * number : 40 * number + 40]
        pq.write_table(pa.table({"id": own, "text": own}), file, row_group_size=10)
    everything = [RowGroup(file, number) for file in files["large"] for number in range(4)]
    one, small = find_chunks(files, 1e9)
    assert (one, small) == (everything, [RowGroup(files["small"][0], 0)])
    assert find_chunks(files, 1) == [[group] for group in [*everything, *small]]
    size = pq.read_metadata(files["large"][0]).row_group(0).column(1).total_uncompressed_size
    several = find_chunks(files, 2.5 * size)
    assert [len(chunk) for chunk in several] == [3, 3, 2, 1]
    assert [group for chunk in several for group in chunk] == [*everything, *small]
    assert [text for batch in read_groups([*everything, *small]) for text in batch.to_pylist()] == texts
