import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.config import NearDuplicateConfig
from data.corpus.near_duplicates import (
    ALWAYS_KEPT,
    TAKES_NO_PART,
    Signatures,
    find_near_duplicates,
    map_signatures,
    required_agreements,
    share_found,
    signatures,
)

NEAR = NearDuplicateConfig()
TINY = NearDuplicateConfig(bands=3, rows=2, threshold=0.9)  # accepts four of six bytes


def prose(random: np.random.Generator, words: int) -> list[str]:
    """Words of a Zipf-like vocabulary."""
    return [f"w{int(rank)}" for rank in random.zipf(1.3, words) % 20_000]


def noisy(words: list[str], share: float, random: np.random.Generator) -> list[str]:
    return [f"x{random.integers(10**6)}" if random.random() < share else word for word in words]


def jaccard(one: list[str], other: list[str], ngram: int = NEAR.ngram) -> float:
    first, second = ({tuple(text[i : i + ngram]) for i in range(len(text) - ngram + 1)} for text in (one, other))
    return len(first & second) / len(first | second)


def planted(documents: int, words: int) -> tuple[list[str], list[float]]:
    """Texts, each followed by a noisy copy; and the similarity of each pair."""
    random = np.random.default_rng(0)
    texts, similarities = [], []
    for index in range(documents):
        original = prose(random, words)
        copy = noisy(original, [0.002, 0.01, 0.02, 0.04, 0.08, 0.15][index % 6], random)
        texts += [" ".join(original), " ".join(copy)]
        similarities.append(jaccard(original, copy))
    return texts, similarities


def test_planted_near_duplicates_are_found_and_nothing_else() -> None:
    texts, similarities = planted(600, 150)
    matrix = signatures(texts, NEAR)
    found = find_near_duplicates(lambda: [matrix], np.ones(len(texts), np.uint8), NEAR)
    assert (found[::2] == -1).all()  # the originals come first
    gone = found[1::2] >= 0
    assert (found[1::2][gone] == np.flatnonzero(gone) * 2).all()
    similarity = np.array(similarities)
    assert (similarity >= 0.8).sum() > 200
    assert (similarity < 0.5).sum() >= 150
    assert gone[similarity >= 0.8].mean() >= 0.95
    assert not gone[similarity < 0.5].any()


def test_agreement_estimates_similarity() -> None:
    texts, similarities = planted(300, 400)
    similarity = np.array(similarities)
    pairs = signatures(texts, NEAR).reshape(-1, 2, NEAR.bands * NEAR.rows)
    assert (pairs[similarity == 1, 0] == pairs[similarity == 1, 1]).all()
    agreement = (pairs[:, 0] == pairs[:, 1]).mean(axis=1)[similarity < 1]
    expected = similarity[similarity < 1] * (1 - 1 / 256) + 1 / 256
    error = (agreement - expected) / np.sqrt(expected * (1 - expected) / pairs.shape[2])
    assert abs(error.mean()) < 0.2
    assert 0.6 < error.std() < 1.2


@pytest.mark.parametrize(
    ("settings", "similarities"),
    [(NEAR, (0.6, 0.72, 0.76, 0.8, 0.9)), (NearDuplicateConfig(threshold=0.6, bands=30, rows=4), (0.4, 0.5, 0.6, 0.7))],
)
def test_the_share_that_is_found(settings: NearDuplicateConfig, similarities: tuple[float, ...]) -> None:
    """Of 800 pairs of texts of 300 words that have so many in common, as the guide and the data card say."""
    for similarity in similarities:
        shared = round(2 * 300 * similarity / (1 + similarity))
        exact = shared / (600 - shared)
        texts = [
            " ".join(f"w{pair}x{word}" for word in (*range(shared), *range(first, first + 300 - shared)))
            for pair in range(800)
            for first in (1_000, 2_000)
        ]
        matrix = signatures(texts, settings.model_copy(update={"ngram": 1}))
        found = find_near_duplicates(lambda: [matrix], np.ones(len(texts), np.uint8), settings)  # noqa: B023
        assert (found[::2] == -1).all()
        assert (found[1::2] >= 0).mean() == pytest.approx(share_found(exact, settings), abs=0.08), similarity
    rising = [share_found(percent / 100, settings) for percent in range(101)]
    assert (np.diff(rising) > -1e-12).all()
    assert rising[-1] == pytest.approx(1)


def test_the_agreement_that_is_required() -> None:
    assert required_agreements(NEAR) == 82  # of 112: similarity 0.8 - 2 * sqrt(0.8 * 0.2 / 112) = 0.724, chance 1/256
    assert required_agreements(NearDuplicateConfig(threshold=1)) == 112
    assert required_agreements(NearDuplicateConfig(threshold=0.1, bands=25, rows=1)) == 1


def test_signatures_do_not_change() -> None:
    """Tombstones keep signatures over years: another hash, seed or library must not give others unnoticed."""
    texts = ["The Committee decided to raise the target range for the federal funds rate.", "", "利率上调二十五个基点"]
    matrix = signatures(texts, NearDuplicateConfig(bands=5, rows=4))
    assert matrix.dtype == np.uint8
    assert [row.tobytes().hex() for row in matrix] == [
        "ea8163837cb07410a8f784952ecf00e5e19cb250",
        "7d618354f693f78602449a3259651de4a1780ad4",
        "e52faf10a3767e560553b952bb2756cd5e35e6de",
    ]


def test_a_signature_is_of_its_text_alone() -> None:
    texts, _ = planted(10, 30)
    one_by_one = np.concatenate([signatures([text], NEAR) for text in texts])
    assert np.array_equal(signatures(texts, NEAR), one_by_one)
    assert signatures([], NEAR).shape == (0, NEAR.bands * NEAR.rows)


def test_short_texts_resemble_each_other_only_when_their_words_are_the_same() -> None:
    texts = ["Yes, we can!", "yes we can", "yes we could", "no"]
    matrix = signatures(texts, NEAR)
    found = find_near_duplicates(lambda: [matrix], np.ones(4, np.uint8), NEAR)
    assert found.tolist() == [-1, 0, -1, -1]


def reference(matrix: Signatures, rank: list[int], near: NearDuplicateConfig) -> list[int]:
    found = [-1] * len(rank)
    kept: list[int] = []
    for document in sorted(range(len(rank)), key=lambda index: (rank[index], index)):
        if rank[document] == TAKES_NO_PART:
            continue
        for other in kept if rank[document] != ALWAYS_KEPT else []:
            agree = matrix[document] == matrix[other]
            bands = agree.reshape(near.bands, near.rows).all(axis=1)
            if bands.any() and agree.sum() >= required_agreements(near):
                found[document] = other
                break
        else:
            kept.append(document)
    return found


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(0, 1), min_size=6, max_size=6), st.sampled_from([ALWAYS_KEPT, 1, 2, TAKES_NO_PART])
        ),
        max_size=40,
    ),
    st.integers(1, 7),
)
def test_as_a_plain_implementation_decides(documents: list[tuple[list[int], int]], part: int) -> None:
    matrix = np.array([row for row, _ in documents], np.uint8).reshape(-1, 6)
    rank = [rank for _, rank in documents]
    parts = [matrix[first : first + part] for first in range(0, len(matrix), part)]
    found = find_near_duplicates(lambda: parts, np.array(rank, np.uint8), TINY)
    assert found.dtype == np.int64
    assert found.tolist() == reference(matrix, rank, TINY)


def test_what_resembles_only_one_that_went_stays() -> None:
    """Four of six bytes agree between neighbours, and two or fewer beyond."""
    matrix = np.array([[1, 1, 1, 1, 1, 1], [2, 2, 1, 1, 1, 1], [2, 2, 3, 3, 1, 1], [2, 2, 3, 3, 4, 4]], np.uint8)
    assert required_agreements(TINY) == 4
    found = find_near_duplicates(lambda: [matrix], np.ones(4, np.uint8), TINY)
    assert found.tolist() == [-1, 0, -1, 2]
    assert find_near_duplicates(lambda: [matrix], np.array([2, 1, 1, 1], np.uint8), TINY).tolist() == [1, -1, 1, -1]


def test_bands_of_more_bytes_than_a_number_has() -> None:
    near = NearDuplicateConfig(bands=1, rows=12, threshold=1)
    matrix = np.array([[0] * 12, [1] + [0] * 11, [0] * 12, [0] * 11 + [1]], np.uint8)
    assert find_near_duplicates(lambda: [matrix], np.ones(4, np.uint8), near).tolist() == [-1, -1, 0, -1]


def test_one_part_is_held_at_a_time(tmp_path: Path) -> None:
    texts, _ = planted(30, 40)
    matrix = signatures(texts, NEAR)
    files = [tmp_path / str(number) for number in range(4)]
    for file, rows in zip(files, (matrix[:7], matrix[7:7], matrix[7:50], matrix[50:]), strict=True):
        file.write_bytes(rows.tobytes())
    readings = []

    def parts() -> Iterator[Signatures]:
        readings.append(len(readings))
        return (map_signatures(file, NEAR) for file in files)

    rank = np.ones(len(texts), np.uint8)
    assert np.array_equal(find_near_duplicates(parts, rank, NEAR), find_near_duplicates(lambda: [matrix], rank, NEAR))
    assert len(readings) == NEAR.bands + 1


@pytest.mark.parametrize(("distinct", "colliding"), [(100_000, 0), (90_000, 10_000)])
def test_memory_of_a_document(distinct: int, colliding: int) -> None:
    random = np.random.default_rng(0)
    matrix = random.integers(0, 256, (distinct, NEAR.bands * NEAR.rows), np.uint8)
    matrix = np.concatenate([matrix, matrix[:colliding]])
    rank = np.ones(len(matrix), np.uint8)
    find_near_duplicates(lambda: [matrix[:10]], rank[:10], NEAR)  # compiled before anything is measured
    tracemalloc.start()
    found = find_near_duplicates(lambda: [matrix], rank, NEAR)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (found >= 0).sum() == colliding
    allowed = 35 * len(matrix) + (64 + NEAR.bands * NEAR.rows + 32 * NEAR.bands) * 2 * colliding
    assert peak < allowed + 50_000
