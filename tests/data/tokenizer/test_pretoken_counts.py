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

from data.tokenizer import pretoken_counts
from data.tokenizer.pretoken_counts import Limits, PretokenCounts, count_pretokens, count_texts, training_facts
from data.tokenizer.pretokens import Splitting, pattern, splitting


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


def write_corpus(folder: Path, files: int, documents: int) -> tuple[dict[str, list[Path]], list[str]]:
    draw, texts, paths = random.Random(3), [], []
    for number in range(files):
        own = [
            " ".join("".join(draw.choices("abcdé", k=draw.randrange(1, 7))) for _ in range(draw.randrange(1, 200)))
            for _ in range(documents)
        ]
        paths.append(folder / f"{number}.parquet")
        pq.write_table(pa.table({"text": own}), paths[-1], row_group_size=20)
        texts += own
    return {"a": paths[:1], "b": paths[1:]}, texts


def assert_equal(one: PretokenCounts, other: PretokenCounts) -> None:
    assert training_facts(one) == training_facts(other)
    for name in ("text", "offsets", "counts"):
        assert np.array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("fraction", [1.0, 0.3])
def test_parts_are_counted_alike_by_any_number_of_workers(
    split: Splitting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fraction: float
) -> None:
    monkeypatch.setattr(pretoken_counts, "PART_BYTES", 20_000)  # a file's row groups are several parts
    files, texts = write_corpus(tmp_path, files=3, documents=150)
    one, two, three = (count_pretokens(files, fraction, tmp_path / "counts", split, n) for n in (1, 2, 3))
    assert (one.cut_pretokens, one.cut_occurrences) == (0, 0)
    assert_equal(one, two)
    assert_equal(one, three)
    assert list((tmp_path / "counts").iterdir()) == []
    if fraction == 1:
        assert as_dict(one) == expected(texts)
        assert (one.documents, one.bytes) == (len(texts), sum(len(text.encode()) for text in texts))
    else:
        assert one.bytes == pytest.approx(fraction * sum(len(text.encode()) for text in texts), rel=0.05)


@pytest.mark.parametrize("limits", [Limits(600, 1 << 20), Limits(1 << 20, 4_000)])
def test_memory_is_bounded_alike_for_any_number_of_workers(
    split: Splitting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: Limits
) -> None:
    monkeypatch.setattr(pretoken_counts, "PART_BYTES", 50_000)
    files, texts = write_corpus(tmp_path, files=3, documents=200)
    everything = expected(texts)
    assert len(everything) > 1_500
    bounded = count_pretokens(files, 1.0, tmp_path / "counts", split, 1, limits)
    kept = as_dict(bounded)
    assert 300 < len(kept) <= limits.pretokens
    assert len(bounded.text) <= limits.bytes
    assert kept.keys() <= everything.keys()
    assert bounded.cut_pretokens >= len(everything) - len(kept)
    for word, count in everything.most_common(20):
        assert kept[word] == pytest.approx(count, rel=0.05)
    assert sum(kept.values()) == pytest.approx(sum(everything.values()), rel=0.05)
    assert_equal(bounded, count_pretokens(files, 1.0, tmp_path / "counts", split, 2, limits))


def test_the_rare_stand_for_each_other(split: Splitting) -> None:
    """Words that come once or twice, and are cut many times over, still have the letters that they had."""
    draw = random.Random(5)
    words = ["".join(draw.choices("abcdefgh", weights=range(1, 9), k=9)) for _ in range(40_000)]
    texts = [" ".join(words[first : first + 100]) for first in range(0, len(words), 100)]
    bounded = count_texts([pa.array(texts + texts[::2])], split, Limits(4_000, 1 << 20))
    assert len(bounded.counts) <= 4_000
    assert bounded.cut_pretokens > 36_000
    everything, kept = expected(texts + texts[::2]), as_dict(bounded)

    def letters(counted: dict[bytes, int]) -> Counter[int]:
        return Counter({letter: sum(n * word.count(letter) for word, n in counted.items()) for letter in b"abcdefgh"})

    for letter, count in letters(everything).items():
        assert letters(kept)[letter] == pytest.approx(count, rel=0.1)


@given(
    texts=st.lists(st.text("abc é\n", max_size=30), max_size=30),
    limits=st.builds(Limits, st.integers(4, 20), st.integers(8, 200)),
)
@settings(max_examples=100, deadline=None)
def test_counts_are_exact_unless_some_are_cut(split: Splitting, texts: list[str], limits: Limits) -> None:
    bounded = count_texts([pa.array(texts[:5], pa.string()), pa.array(texts[5:], pa.string())], split, limits)
    everything, kept = expected(texts), as_dict(bounded)
    assert kept.keys() <= everything.keys()
    assert len(kept) <= limits.pretokens
    assert len(bounded.text) <= limits.bytes
    assert bounded.cut_occurrences >= bounded.cut_pretokens >= len(everything) - len(kept)
    assert kept == everything or bounded.cut_pretokens


def test_what_takes_a_quarter_of_the_room_is_left_out(split: Splitting) -> None:
    counted = count_texts([pa.array(["x" * 26, "y" * 25, "x" * 26])], split, Limits(100, 100))
    assert as_dict(counted) == {b"y" * 25: 1}
    assert (counted.cut_pretokens, counted.cut_occurrences) == (2, 2)


def test_nothing_has_no_counts(split: Splitting, tmp_path: Path) -> None:
    counts = count_pretokens({}, 1.0, tmp_path / "counts", split, None)
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
