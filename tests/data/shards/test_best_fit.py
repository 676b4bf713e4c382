"""Best-fit decreasing against a plain search, and what must hold for any documents: nothing lost or cut in vain."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from data.shards.best_fit import _best_fit, best_fit

LENGTHS = st.lists(st.integers(1, 60), max_size=120)
Piece = tuple[int, int, bool]  # first token, tokens, whether the document began in another row


def reference(lengths: list[int], row_tokens: int) -> list[list[Piece]]:
    """The same rule, searched plainly."""
    full: list[list[Piece]] = []
    rest: list[Piece] = []
    position = 0
    for length in lengths:
        for start in range(0, length, row_tokens):
            piece = (position + start, min(row_tokens, length - start), start > 0)
            if piece[1] == row_tokens:
                full.append([piece])
            else:
                rest.append(piece)
        position += length
    opened: list[list[Piece]] = []
    free: list[int] = []
    touched: list[int] = []  # when a row was last put into, for ties: the newest
    for turn, piece in enumerate(sorted(rest, key=lambda piece: -(piece[1] + piece[2]))):
        needed = piece[1] + piece[2]
        fitting = [row for row in range(len(opened)) if free[row] >= needed]
        if fitting:
            row = min(fitting, key=lambda row: (free[row], -touched[row]))
            opened[row].append(piece)
            free[row] -= needed
            touched[row] = turn
        else:
            opened.append([piece])
            free.append(row_tokens - piece[1])
            touched.append(turn)
    return full + opened


def packed(lengths: list[int], row_tokens: int) -> list[list[Piece]]:
    rows = best_fit(np.array(lengths, dtype=np.int64), row_tokens)
    pieces = [
        (first, abs(tokens), tokens < 0)
        for first, tokens in zip(rows.first.tolist(), rows.tokens.tolist(), strict=True)
    ]
    return [pieces[start:end] for start, end in pairwise(rows.offsets.tolist())]


@settings(max_examples=200, deadline=None)
@given(lengths=LENGTHS, row_tokens=st.integers(1, 40))
def test_rows_are_those_of_a_plain_search(lengths: list[int], row_tokens: int) -> None:
    assert packed(lengths, row_tokens) == reference(lengths, row_tokens)


@settings(max_examples=200, deadline=None)
@given(lengths=LENGTHS, row_tokens=st.integers(1, 40))
def test_every_token_has_one_place_and_no_document_is_cut_that_fits(lengths: list[int], row_tokens: int) -> None:
    rows = packed(lengths, row_tokens)
    covered = [token for row in rows for first, tokens, _ in row for token in range(first, first + tokens)]
    assert sorted(covered) == list(range(sum(lengths)))
    ends = np.cumsum(lengths).tolist()
    for length, end in zip(lengths, ends, strict=True):
        begins = [first for row in rows for first, _, _ in row if end - length <= first < end]
        assert len(begins) == -(-length // row_tokens)
        continued = [first for row in rows for first, _, cut in row if end - length <= first < end and cut]
        assert len(continued) == len(begins) - 1
    for row in rows:
        assert 0 < sum(tokens for _, tokens, _ in row) + sum(cut for _, _, cut in row[1:]) <= row_tokens


def test_little_padding_where_there_are_short_documents() -> None:
    lengths = np.maximum(1, np.random.default_rng(0).lognormal(np.log(900) - 0.72, 1.2, 20_000)).astype(np.int64)
    rows = best_fit(lengths, 2048)
    assert (len(rows.offsets) - 1) * 2048 <= lengths.sum() * 1.001


def test_no_documents_no_rows() -> None:
    assert packed([], 10) == []


def test_one_compilation_serves_arrays_that_may_be_written_and_those_of_arrow() -> None:
    lengths = np.array([3, 5, 2])
    read_only = lengths.copy()
    read_only.flags.writeable = False  # as Arrow gives them
    for given_lengths in (lengths, read_only, lengths.astype(np.int32), np.repeat(lengths, 2)[::2]):
        assert best_fit(given_lengths, 5).tokens.tolist() == [5, 3, 2]
    assert len(_best_fit.signatures) == 1


def test_packing_is_compiled_when_its_module_is_imported_so_that_threads_need_not() -> None:
    program = "from data.shards.best_fit import _best_fit; print(len(_best_fit.signatures))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "1\n"
