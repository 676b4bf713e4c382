"""The compiled search finds what the library finds, ties included, and what no shorter search could miss."""

import functools
import itertools
import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import models

from data.tokenizer.model import piece_name
from data.tokenizer.unigram_encoder import build_pieces, find_best

BYTES = [bytes([byte]) for byte in range(256)]


def segment(vocabulary: list[tuple[bytes, float]], texts: list[bytes]) -> list[list[int]]:
    pieces = build_pieces([p for p, _ in vocabulary], range(len(vocabulary)), [score for _, score in vocabulary])
    assert pieces
    content = np.frombuffer(b"".join(texts), np.uint8)
    ids, starts = find_best(content, np.cumsum([0, *map(len, texts)]), pieces)
    return [ids[begin:end].tolist() for begin, end in itertools.pairwise(starts.tolist())]


@pytest.mark.parametrize("ties", [True, False])
@given(seed=st.integers(0, 2**32))
def test_the_same_pieces_as_tokenizers(seed: int, ties: bool) -> None:
    chance = random.Random(seed)
    longer = {bytes(chance.choices(b"ab \xe9", k=chance.randint(2, 6))) for _ in range(40)}
    scores = (lambda: -float(chance.randint(1, 3))) if ties else (lambda: -8 * chance.random())
    vocabulary = [(piece, scores()) for piece in [*BYTES, *sorted(longer)]]
    texts = [bytes(chance.choices(b"ab \xe9z", k=chance.randint(1, 60))) for _ in range(20)]
    model = models.Unigram([(piece_name(piece), score) for piece, score in vocabulary])
    expected = [[token.id for token in model.tokenize(piece_name(text))] for text in texts]
    assert segment(vocabulary, texts) == expected


@given(st.integers(0, 2**32))
def test_no_other_segmentation_is_more_probable(seed: int) -> None:
    chance = random.Random(seed)
    longer = {bytes(chance.choices(b"ab", k=chance.randint(2, 4))) for _ in range(8)}
    vocabulary = [(piece, -5 * chance.random()) for piece in [*BYTES, *sorted(longer)]]
    score = dict(vocabulary)
    text = bytes(chance.choices(b"ab", k=9))

    @functools.cache
    def best(rest: bytes) -> float:
        return max((score[rest[:n]] + best(rest[n:]) for n in range(1, 5) if rest[:n] in score and rest), default=0.0)

    (found,) = segment(vocabulary, [text])
    assert b"".join(vocabulary[piece][0] for piece in found) == text
    assert math.isclose(sum(vocabulary[piece][1] for piece in found), best(text), rel_tol=1e-12)


def test_empty_texts_and_every_byte() -> None:
    vocabulary = [(piece, -1.0) for piece in BYTES]
    assert segment(vocabulary, [b"", b"\x00\xff", b""]) == [[], [0, 255], []]


def test_a_large_tree_finds_every_piece_and_nothing_else() -> None:
    chance = random.Random(3)
    longer = {chance.randbytes(chance.randint(2, 4)) for _ in range(3_000)} | {b"\7" * size for size in range(2, 60)}
    vocabulary = [*((byte, -100.0) for byte in BYTES), *((piece, -1.0) for piece in sorted(longer))]
    others = [text for text in (chance.randbytes(3) for _ in range(1_000)) if text not in longer]
    found = segment(vocabulary, [piece for piece, _ in vocabulary] + others)
    assert found[: len(vocabulary)] == [[number] for number in range(len(vocabulary))]
    assert all(len(ids) > 1 for ids in found[len(vocabulary) :])
