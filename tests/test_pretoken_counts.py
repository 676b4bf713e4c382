"""Counts of pre-tokens are exact, the same for any number of workers, and bounded where that is asked for."""

import itertools
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, pre_tokenizers

from data.pretoken_counts import PretokenCounts, Splitting, count_pretokens, count_texts, splitting
from data.pretokens import pattern


@pytest.fixture(scope="module")
def split() -> Splitting:
    return splitting("words", "single")


def as_dict(counted: PretokenCounts) -> dict[bytes, int]:
    content, places = counted.text.tobytes(), itertools.pairwise(counted.offsets.tolist())
    return dict(zip((content[begin:end] for begin, end in places), counted.counts.tolist(), strict=True))


def expected(texts: Sequence[str]) -> Counter[bytes]:
    cut = pre_tokenizers.Split(Regex(pattern("words", "single")), "isolated")
    return Counter(piece.encode() for text in texts for piece, _ in cut.pre_tokenize_str(text) if piece)


@given(texts=st.lists(st.text()))
@settings(max_examples=100, deadline=None)
def test_counts_are_those_of_the_library(split: Splitting, texts: list[str]) -> None:
    counts = count_texts([pa.array(texts[:2], pa.string()), pa.array(["x", *texts, "x"]).slice(3)], split)
    assert as_dict(counts) == expected([*texts[:2], *["x", *texts, "x"][3:]])
    assert counts.documents == len(texts[:2]) + len(["x", *texts, "x"][3:])


def write_corpus(folder: Path, files: int, documents: int) -> tuple[list[Path], list[str]]:
    draw, texts, paths = random.Random(3), [], []
    for number in range(files):
        own = [
            " ".join("".join(draw.choices("abcdé", k=draw.randrange(1, 7))) for _ in range(draw.randrange(1, 200)))
            for _ in range(documents)
        ]
        paths.append(folder / f"{number}.parquet")
        pq.write_table(pa.table({"text": own}), paths[-1])
        texts += own
    return paths, texts


def test_files_are_counted_alike_by_any_number_of_workers(split: Splitting, tmp_path: Path) -> None:
    files, texts = write_corpus(tmp_path, files=5, documents=150)
    one = count_pretokens(files, 1.0, tmp_path / "counts", split, workers=1)
    two = count_pretokens(files, 1.0, tmp_path / "counts", split, workers=2)
    assert as_dict(one) == expected(texts)
    assert (one.documents, one.bytes) == (len(texts), sum(len(text.encode()) for text in texts))
    assert (one.cut_pretokens, one.cut_occurrences) == (0, 0)
    for name in ("text", "offsets", "counts"):
        assert np.array_equal(getattr(one, name), getattr(two, name))
    assert list((tmp_path / "counts").iterdir()) == []


def test_the_rarest_are_cut_and_counted(split: Splitting, tmp_path: Path) -> None:
    files, texts = write_corpus(tmp_path, files=3, documents=200)
    everything = expected(texts)
    most = 500
    assert len(everything) > 3 * most
    bounded = count_pretokens(files, 1.0, tmp_path / "counts", split, 1, most)
    kept = as_dict(bounded)
    assert len(kept) == most
    assert all(count <= everything[word] for word, count in kept.items())
    assert sum(kept.values()) + bounded.cut_occurrences == sum(everything.values())
    assert bounded.cut_pretokens >= len(everything) - most
    frequent = [word for word, _ in everything.most_common(100)]
    assert set(frequent) <= kept.keys()
    again = count_pretokens(files, 1.0, tmp_path / "counts", split, 2, most)
    assert as_dict(again) == kept
    assert list(as_dict(again)) == list(kept)


def test_nothing_has_no_counts(split: Splitting, tmp_path: Path) -> None:
    counts = count_pretokens([], 1.0, tmp_path / "counts", split, None)
    assert (as_dict(counts), counts.documents, counts.bytes) == ({}, 0, 0)
    assert counts.offsets.tolist() == [0]


def test_strings_of_equal_hash_places_stay_apart(split: Splitting) -> None:
    words = [f"w{number}" for number in range(70_000)]
    texts = pa.array([" ".join(words)] * 2)
    counted = as_dict(count_texts([texts], split))
    digits = Counter(digit for word in words for digit in word[1:])
    assert counted[b" w"] == 2 * (len(words) - 1)
    assert {digit: counted[digit.encode()] for digit in digits} == {digit: 2 * n for digit, n in digits.items()}


def test_many_distinct_strings_outgrow_the_first_table() -> None:
    texts = [f"word{number} " * 2 for number in range(100_000)]
    counted = count_texts([pa.array(texts)], splitting("words", "runs"))
    assert as_dict(counted) == {
        b"word": 100_000, b" word": 100_000, b" ": 100_000,
        **{str(number).encode(): 2 for number in range(100_000)},
    }  # fmt: skip
