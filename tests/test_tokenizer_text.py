"""Samples come from all over the text, in proportion to the fraction, always the same."""

import itertools
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.tokenizer_text import bytes_by_source, measured_texts, read_texts, sample_texts


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
