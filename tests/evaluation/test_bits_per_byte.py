"""Held-out scoring: every token once, in the right context, equally often on every rank, against direct sums."""

import datetime
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import DataError
from data.interval import Interval
from data.shards.format import EncodedDocument, Manifest, write_manifest, write_source
from evaluation.bits_per_byte import (
    NO_PERIOD,
    NOT_SCORED,
    Period,
    Score,
    by_split,
    choose_evenly,
    period_of,
    score_documents,
    windows,
)

VOCABULARY = 50
WINDOW = 8


def document(name: str, tokens: list[int], year: int | None = None) -> EncodedDocument:
    date = Interval.of_day(datetime.date(year, 6, 1)) if year else None
    return EncodedDocument(name, date, np.array(tokens, np.uint16), 3 * len(tokens))


DOCUMENTS = {
    "past": {
        "bank": [document("a", [7], 2019), document("b", list(range(1, 41)), 2019)],
        "wiki": [document("c", [5, 5, 5, 9, 2, 3, 4, 1, 8])],
    },
    "future": {"bank": [document("d", [3, 1, 4, 1, 5, 9, 2, 6], 2021), document("e", [2] * 17, 2022)]},
}


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    splits = {
        split: {
            source: write_source(tmp_path, split, source, documents, "uint16", tokens_per_shard=20)
            for source, documents in sources.items()
        }
        for split, sources in DOCUMENTS.items()
    }
    write_manifest(tmp_path, Manifest("uint16", VOCABULARY, "tokenizer", "corpus", 0, 20, splits))
    return tmp_path


def bigram_losses(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """A model whose loss depends on the token before and on the token, so that a shifted window is noticed."""
    losses = 0.25 + np.sin(inputs * 1.7 + np.maximum(targets, 0) * 0.3) ** 2
    # What a model gives for an ignored target must not count, whatever it is.
    return np.where(targets == NOT_SCORED, 1e6, losses)


def expected_nats(tokens: np.ndarray) -> float:
    targets = tokens.astype(np.int64)
    inputs = np.concatenate([[0], targets[:-1]])
    return float(bigram_losses(inputs[None], targets[None]).sum())


@given(length=st.integers(0, 400), window=st.integers(1, 70))
def test_windows_score_every_token_once_with_half_a_window_of_context(length: int, window: int) -> None:
    cut = list(windows(length, window))
    scored = [token for part in cut for token in range(part.scored, part.end)]
    assert scored == list(range(length))
    for number, part in enumerate(cut):
        assert part.end - part.start <= window
        assert part.scored - part.start == (0 if number == 0 else window // 2)


@given(length=st.integers(0, 400), window=st.integers(2, 70))
def test_disjoint_windows_score_every_token_once_and_the_last_is_filled_with_old_context(
    length: int, window: int
) -> None:
    cut = list(windows(length, window, "disjoint"))
    assert [token for part in cut for token in range(part.scored, part.end)] == list(range(length))
    for number, part in enumerate(cut):
        assert part.end - part.start == min(window, length)
        assert number == 0 or number == len(cut) - 1 or part.start == part.scored, "one token of context"


def test_windows_of_the_recipe() -> None:
    assert list(windows(4000, 2048)) == [(0, 0, 2048), (1024, 2048, 3072), (2048, 3072, 4000)]
    assert list(windows(2048, 2048)) == [(0, 0, 2048)]
    assert list(windows(1, 2048)) == [(0, 0, 1)]
    assert list(windows(5000, 2048, "disjoint")) == [(0, 0, 2048), (2048, 2048, 4096), (2952, 4096, 5000)]
    assert list(windows(0, 2048)) == []


def test_bits_per_byte_of_a_uniform_model() -> None:
    # 10 tokens of log2(32) = 5 bits over 25 bytes of text
    score = Score(10 * math.log(32), 10, 25)
    assert score.bits_per_byte == pytest.approx(2.0, rel=1e-15)
    assert (score + Score(0.0, 0, 25)).bits_per_byte == pytest.approx(1.0, rel=1e-15)


def test_scores_equal_direct_sums(shards: Path) -> None:
    scores = by_split(score_documents(bigram_losses, shards, sequence_length=WINDOW, batch_size=3))
    assert {(source, split) for source in scores for split in scores[source]} == {
        ("bank", "past"),
        ("bank", "future"),
        ("wiki", "past"),
    }
    for split, sources in DOCUMENTS.items():
        for source, documents in sources.items():
            score = scores[source][split]
            assert score.nats == pytest.approx(sum(expected_nats(each.tokens) for each in documents), rel=1e-12)
            assert score.tokens == sum(len(each.tokens) for each in documents)
            assert score.bytes == sum(each.bytes for each in documents)


def test_the_model_sees_end_of_text_then_the_document(shards: Path) -> None:
    seen = []

    def record(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        assert inputs.dtype == targets.dtype == np.int64
        seen.extend(zip(inputs.tolist(), targets.tolist(), strict=True))
        return np.zeros(inputs.shape, np.float32)

    score_documents(record, shards, sequence_length=WINDOW, batch_size=2, splits=["future"])
    document_d = ([0, 3, 1, 4, 1, 5, 9, 2], [3, 1, 4, 1, 5, 9, 2, 6])
    second_window_of_e = ([2] * 8, [NOT_SCORED] * 4 + [2] * 4)
    assert document_d in seen
    assert second_window_of_e in seen
    assert ([0, *[2] * 7], [2] * 8) in seen


@pytest.mark.parametrize("world_size", [1, 2, 3, 7, 40])
def test_ranks_call_the_model_equally_often_and_sum_to_one_rank(shards: Path, world_size: int) -> None:
    calls: Counter[int] = Counter()
    per_rank = []
    for rank in range(world_size):

        def losses(inputs: np.ndarray, targets: np.ndarray, rank: int = rank) -> np.ndarray:
            calls[rank] += 1
            assert inputs.size > 0
            return bigram_losses(inputs, targets)

        options = {"sequence_length": WINDOW, "batch_size": 2, "rank": rank, "world_size": world_size}
        per_rank.append(score_documents(losses, shards, **options))
    assert len(set(calls.values())) == 1
    assert set(calls) == set(range(world_size))
    whole = by_split(score_documents(bigram_losses, shards, sequence_length=WINDOW, batch_size=2))
    together = by_split(part for rank in per_rank for part in rank)
    for source, splits in whole.items():
        assert [list(by_split(rank)[source]) for rank in per_rank] == [list(splits)] * world_size
        for split, score in splits.items():
            assert together[source][split].nats == pytest.approx(score.nats, rel=1e-12)
            assert together[source][split].tokens == score.tokens
            assert together[source][split].bytes == score.bytes


@pytest.mark.parametrize(
    ("period", "labels"),
    [
        ("year", ["2019", "2019", "2019", "2020"]),
        ("quarter", ["2019-Q1", "2019-Q1", "2019-Q4", "2020-Q1"]),
        ("month", ["2019-01", "2019-03", "2019-12", "2020-01"]),
    ],
)
def test_labels_of_periods(period: Period, labels: list[str]) -> None:
    days = [(2019, 1, 1), (2019, 3, 31), (2019, 12, 31), (2020, 1, 1)]
    assert [period_of(Interval.of_day(datetime.date(*day)), period) for day in days] == labels == sorted(labels)


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ((2019, 1, 1), (2019, 3, 31), {"year": "2019", "quarter": "2019-Q1"}),
        ((2019, 1, 1), (2019, 12, 31), {"year": "2019"}),
        ((2019, 2, 1), (2019, 2, 28), {"year": "2019", "quarter": "2019-Q1", "month": "2019-02"}),
        ((2018, 12, 31), (2019, 1, 1), {}),
        (None, (2019, 1, 1), {}),
    ],
)
def test_a_document_is_of_a_period_only_if_all_of_its_days_are(
    first: tuple[int, int, int] | None, last: tuple[int, int, int], expected: dict[Period, str]
) -> None:
    date = Interval(datetime.date(*first) if first else None, datetime.date(*last))
    periods: tuple[Period, ...] = ("year", "quarter", "month")
    assert {period: period_of(date, period) for period in periods} == dict.fromkeys(periods, NO_PERIOD) | expected


@given(lengths=st.lists(st.integers(1, 100), max_size=200), maximum=st.integers(1, 5000))
def test_chosen_documents_stay_within_the_budget_unless_there_is_but_one(lengths: list[int], maximum: int) -> None:
    chosen = choose_evenly(lengths, maximum)
    assert chosen == sorted(set(chosen))
    assert len(chosen) >= bool(lengths)
    assert len(chosen) <= 1 or sum(lengths[index] for index in chosen) <= maximum
    assert set(chosen) <= set(choose_evenly(lengths, maximum + 50)), "a larger budget keeps what a smaller one has"
    if sum(lengths) <= maximum:
        assert chosen == list(range(len(lengths)))


@given(count=st.integers(40, 2000), taken=st.integers(8, 40))
def test_chosen_documents_are_spread_over_all(count: int, taken: int) -> None:
    chosen = choose_evenly([1] * count, taken)
    gaps = np.diff([-1, *chosen, count])
    assert len(chosen) == taken
    assert gaps.max() <= 4 * count / taken


def test_a_budget_scores_whole_documents_of_every_source(shards: Path) -> None:
    scores = by_split(score_documents(bigram_losses, shards, sequence_length=WINDOW, batch_size=2, maximum_tokens=10))
    assert scores["bank"]["past"].tokens == 1
    assert scores["bank"]["future"].tokens == 8
    assert scores["wiki"]["past"].tokens == 9


def test_splits_without_documents_are_left_out(tmp_path: Path) -> None:
    splits = {"past": {"empty": write_source(tmp_path, "past", "empty", [], "uint16", 20)}}
    write_manifest(tmp_path, Manifest("uint16", VOCABULARY, "tokenizer", "corpus", 0, 20, splits))
    assert by_split(score_documents(bigram_losses, tmp_path, sequence_length=WINDOW, batch_size=2)) == {}


def test_missing_shards_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="manifest"):
        by_split(score_documents(bigram_losses, tmp_path / "none", sequence_length=WINDOW, batch_size=2))
