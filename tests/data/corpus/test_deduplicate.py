import dataclasses
import hashlib
import tracemalloc
from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.config import DecontaminationConfig, NearDuplicateConfig
from data.corpus.deduplicate import (
    DROP_REASONS,
    Decision,
    Digests,
    Fate,
    Forgotten,
    Staged,
    as_digests,
    decide,
    decide_by_name,
    document_key,
    keep_one_of_each,
)
from data.corpus.near_duplicates import signatures
from data.corpus.split import DROPPED, SPLITS

KEPT, REPEATED_ID, FORGOTTEN = Fate.KEPT, Fate.REPEATED_ID, Fate.FORGOTTEN
DUPLICATE, HELD_OUT = Fate.DUPLICATE, Fate.DUPLICATE_OF_HELD_OUT_TEXT
CONTAMINATED = Fate.CONTAMINATED
NEAR, NEAR_HELD_OUT = Fate.NEAR_DUPLICATE, Fate.NEAR_DUPLICATE_OF_HELD_OUT_TEXT
SETTINGS = NearDuplicateConfig(bands=5, rows=3)


def digests(names: Iterable[str]) -> Digests:
    return as_digests(b"".join(hashlib.blake2b(name.encode(), digest_size=16).digest() for name in names))


def keys(ids: Sequence[str]) -> Digests:
    """Of ids by source: "uv", "u" are two documents of the first source and one of the second."""
    return as_digests(b"".join(document_key(str(source), name) for source, names in enumerate(ids) for name in names))


def rows(names: Iterable[str]) -> np.ndarray:
    """Signatures of texts that resemble each other when they are the same letter."""
    return signatures([f"{name.lower()} {name.lower() * 2}" for name in names], SETTINGS)


def staged(texts: str, ids: Sequence[str], levels: str, grams: Sequence[str] = (), part: int = 2) -> Staged:
    """Texts are equal if they are the same letter, and near-duplicates if they are in the other case.

    The digits of `grams` are what of evaluation items is in each.
    """
    matrix = rows(texts)
    parts = [matrix[first : first + part] for first in range(0, len(matrix), part)]
    met = [(int(gram), document) for document, found in enumerate(grams) for gram in found]
    hashes, touched = np.array([gram for gram, _ in met], np.uint64), np.array([it for _, it in met], np.int64)
    splits = np.array([int(level) for level in levels], np.uint8)
    return Staged(digests(texts), keys(ids), splits, lambda: parts, hashes, touched)


def decided(
    documents: Staged,
    stones: Forgotten,
    near: NearDuplicateConfig | None,
    decontamination: DecontaminationConfig | None = None,
) -> Decision:
    return decide(documents, decide_by_name(documents, stones), stones, near, decontamination)


def forgotten(texts: str = "", ids: Sequence[str] = (), signed: str = "") -> Forgotten:
    return Forgotten(digests(texts), keys(ids), rows(signed), complete=True)


@pytest.mark.parametrize(
    ("texts", "ids", "levels", "expected", "resembles"),
    [
        ("abc", ["uvw"], "000", [KEPT, KEPT, KEPT], [-1, -1, -1]),
        ("aba", ["uvw"], "000", [KEPT, KEPT, DUPLICATE], [-1, -1, 0]),
        ("aab", ["uv", "u"], "000", [KEPT, DUPLICATE, KEPT], [-1, 0, -1]),  # an id of two sources is no repetition
        ("aa", ["u", "v"], "02", [HELD_OUT, KEPT], [1, -1]),  # over the date's border the held-out copy stays
        ("aaaa", ["uvwx"], "0220", [HELD_OUT, KEPT, DUPLICATE, HELD_OUT], [1, -1, 1, 1]),
        ("aba", ["uuv"], "000", [KEPT, REPEATED_ID, DUPLICATE], [-1, -1, 0]),
        ("abb", ["uuv"], "000", [KEPT, REPEATED_ID, KEPT], [-1, -1, -1]),  # a repeated id takes no text with it
        ("aa", ["uu"], "02", [HELD_OUT, REPEATED_ID], [1, -1]),  # but text of the cutoff or later is not trained on
        ("bAa", ["uuv"], "020", [KEPT, REPEATED_ID, NEAR_HELD_OUT], [-1, -1, 1]),
        ("baa", ["uuv"], "022", [KEPT, REPEATED_ID, KEPT], [-1, -1, -1]),  # it may be held out
        ("baa", ["uuv"], "021", [KEPT, REPEATED_ID, HELD_OUT], [-1, -1, 1]),
        ("baa", ["uuv"], "010", [KEPT, REPEATED_ID, KEPT], [-1, -1, -1]),
        ("aaA", ["uvw"], "400", [Fate.DROPPED, HELD_OUT, NEAR_HELD_OUT], [-1, 0, 0]),
        ("aaA", ["uvw"], "422", [Fate.DROPPED, KEPT, NEAR], [-1, -1, 1]),
        ("ab", ["uu"], "40", [Fate.DROPPED, KEPT], [-1, -1]),  # its id is free
        ("aAb", ["uvw"], "000", [KEPT, NEAR, KEPT], [-1, 0, -1]),
        ("Aab", ["uvw"], "010", [NEAR_HELD_OUT, KEPT, KEPT], [1, -1, -1]),
        ("aA", ["uv"], "12", [NEAR_HELD_OUT, KEPT], [1, -1]),  # of held-out texts the latest stays
        ("aaA", ["uvw"], "000", [KEPT, DUPLICATE, NEAR], [-1, 0, 0]),
        ("aAA", ["uvw"], "000", [KEPT, NEAR, DUPLICATE], [-1, 0, 1]),  # equals are found first
        ("aA", ["uu"], "00", [KEPT, REPEATED_ID], [-1, -1]),
        ("", ["", ""], "", [], []),
    ],
)
def test_what_becomes_of_each(
    texts: str, ids: list[str], levels: str, expected: list[int], resembles: list[int]
) -> None:
    decision = decided(staged(texts, ids, levels), forgotten(), SETTINGS)
    assert decision.fates.dtype == np.uint8
    assert decision.fates.tolist() == expected
    assert decision.resembles.tolist() == resembles


@pytest.mark.parametrize(
    ("stones", "expected"),
    [
        (forgotten(), [KEPT, NEAR, DUPLICATE, KEPT]),
        (forgotten(ids=["", "u"]), [KEPT, NEAR, DUPLICATE, KEPT]),  # another source's document
        (forgotten(ids=["u"]), [FORGOTTEN, KEPT, NEAR, KEPT]),  # by its name alone: its text was another
        (forgotten(texts="a"), [FORGOTTEN, KEPT, FORGOTTEN, KEPT]),
        (forgotten(texts="a", signed="a"), [FORGOTTEN, FORGOTTEN, FORGOTTEN, KEPT]),
        (forgotten(signed="cbbA"), [FORGOTTEN, FORGOTTEN, FORGOTTEN, FORGOTTEN]),
    ],
)
def test_what_is_forgotten(stones: Forgotten, expected: list[int]) -> None:
    assert decided(staged("aAab", ["uvwx"], "0000"), stones, SETTINGS).fates.tolist() == expected


def test_every_tombstone_counts_also_those_that_resemble_another() -> None:
    """b resembles a and c resembles b, but c does not resemble a."""
    near = NearDuplicateConfig(bands=3, rows=2, threshold=0.9)
    a, b, c = ([1, 1, 1, 1, 1, 1], [2, 2, 1, 1, 1, 1], [2, 2, 3, 3, 1, 1])
    signed = [np.array([c], np.uint8)]
    documents = dataclasses.replace(staged("c", ["u"], "0"), signatures=lambda: signed)
    stones = Forgotten(digests("ab"), keys(["vw"]), np.array([a, b], np.uint8), complete=True)
    assert decided(documents, stones, near).fates.tolist() == [FORGOTTEN]


@pytest.mark.parametrize(
    ("texts", "grams", "stones", "expected", "common"),
    [
        ("abcd", ["1", "2", "", "12"], "", [CONTAMINATED, CONTAMINATED, KEPT, CONTAMINATED], []),
        ("abcd", ["1", "12", "1", ""], "", [KEPT, CONTAMINATED, KEPT, KEPT], [1]),  # more than two have 1
        ("abcd", ["1", "1", "1", "1"], "a", [FORGOTTEN, KEPT, KEPT, KEPT], [1]),
        ("abcd", ["1", "1", "1", ""], "a", [FORGOTTEN, CONTAMINATED, CONTAMINATED, KEPT], []),
        ("aabb", ["1", "1", "1", "1"], "", [CONTAMINATED, DUPLICATE, CONTAMINATED, DUPLICATE], []),  # copies are one
        ("aAbB", ["1", "1", "1", "1"], "", [CONTAMINATED] * 4, []),  # near-duplicates are one
        ("aAbc", ["1", "1", "1", "1"], "", [KEPT, NEAR, KEPT, KEPT], [1]),
        ("aAbc", ["1", "", "", ""], "", [CONTAMINATED, KEPT, KEPT, KEPT], []),  # what goes takes nothing with it
    ],
)
def test_evaluation_items(texts: str, grams: list[str], stones: str, expected: list[int], common: list[int]) -> None:
    settings = DecontaminationConfig(paths=("items.jsonl",), common_documents=2)
    documents, stone = staged(texts, ["uvwx"], "0000", grams), forgotten(texts=stones)
    decision = decided(documents, stone, SETTINGS, settings)
    assert decision.fates.tolist() == expected
    assert decision.common.tolist() == common
    flagged = decided(documents, stone, SETTINGS, settings.model_copy(update={"action": "flag"}))
    assert CONTAMINATED not in flagged.fates
    assert flagged.common.tolist() == common


def test_evaluation_items_without_near_duplicates() -> None:
    settings = DecontaminationConfig(paths=("items.jsonl",), common_documents=2)
    decision = decided(staged("aAbB", ["uvwx"], "0000", ["1"] * 4), forgotten(), None, settings)
    assert (decision.fates.tolist(), decision.common.tolist()) == ([KEPT] * 4, [1])


def test_near_duplicates_stay_if_they_are_not_asked_for() -> None:
    def refuse() -> list[np.ndarray]:
        raise AssertionError("no signatures without settings")

    documents = staged("aAa", ["uvw"], "000")
    without = Staged(documents.texts, documents.keys, documents.splits, refuse)
    assert decided(without, forgotten(texts="b"), None).fates.tolist() == [KEPT, KEPT, DUPLICATE]


def reference(documents: list[tuple[str, str, int, int]], stones: Forgotten, stone_texts: str) -> list[int]:
    """Fates of (text, id, source, split), one document after the other in order of priority."""
    fates = dict.fromkeys(range(len(documents)), KEPT)
    seen_ids: set[tuple[int, str]] = set()
    for index, (text, name, source, split) in enumerate(documents):
        if split == DROPPED:
            fates[index] = Fate.DROPPED
            continue
        if (source, name) in seen_ids:
            fates[index] = REPEATED_ID
        seen_ids.add((source, name))
        if text in stone_texts:
            fates[index] = FORGOTTEN
    named = dict(fates)
    levels: list[float] = [split for *_, split in documents]
    unwritten = [index for index in fates if levels[index] >= 2 and fates[index] in (Fate.DROPPED, REPEATED_ID)]
    for index in unwritten:
        fates[index], levels[index] = KEPT, 1.5  # before what is trained on and behind what is held out
    order = sorted(range(len(documents)), key=lambda index: (-levels[index], index))
    for same, fate in ((str, DUPLICATE), (str.lower, NEAR)):
        kept: dict[str, int] = {}
        for index in order:
            text = documents[index][0]
            if fates[index] != KEPT:
                continue
            if fate == NEAR and text.lower() in stone_texts.lower():
                fates[index] = FORGOTTEN
            elif (best := kept.setdefault(same(text), index)) != index:
                fates[index] = fate if levels[best] == levels[index] else Fate(fate + 1)
    for index, (text, _, _, _) in enumerate(documents):  # the copies of what went for its resemblance
        if fates[index] in (DUPLICATE, HELD_OUT) and text.lower() in stone_texts.lower():
            fates[index] = FORGOTTEN
    return list((fates | {index: named[index] for index in unwritten}).values())


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("aAbBcCd"), st.sampled_from("uvwxyz"), st.sampled_from((0, 1, 2, DROPPED))),
        max_size=25,
    ),
    st.integers(0, 25),
    st.sampled_from(["", "a", "aC"]),
)
def test_as_a_plain_implementation_decides(documents: list[tuple[str, str, int]], border: int, stones: str) -> None:
    texts = "".join(text for text, _, _ in documents)
    ids = ["".join(name for _, name, _ in side) for side in (documents[:border], documents[border:])]
    levels = "".join(str(split) for _, _, split in documents)
    decision = decided(staged(texts, ids, levels), forgotten(texts=stones, signed=stones), SETTINGS)
    with_source = [(text, name, int(index >= border), split) for index, (text, name, split) in enumerate(documents)]
    assert decision.fates.tolist() == reference(with_source, forgotten(), stones)
    gone = [fate not in (KEPT, REPEATED_ID, FORGOTTEN, Fate.DROPPED) for fate in decision.fates]
    assert (decision.resembles >= 0).tolist() == gone


def test_equal_halves_are_no_equal_digests() -> None:
    same_half = as_digests(b"\1" * 16 + b"\1" * 8 + b"\2" * 8 + b"\2" * 8 + b"\1" * 8)
    assert keep_one_of_each(same_half, np.zeros(3, np.uint8))[0].all()
    half = Staged(same_half, keys(["uvw"]), np.zeros(3, np.uint8), list)
    stones = Forgotten(as_digests(b"\1" * 8 + b"\3" * 8), keys([]), rows(""), complete=True)
    assert decided(half, stones, None).fates.tolist() == [KEPT] * 3


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 3)), max_size=30))
def test_the_first_of_the_lowest_rank_is_kept(documents: list[tuple[str, int]]) -> None:
    names = "".join(name for name, _ in documents)
    ranks = [rank for _, rank in documents]
    is_kept, chosen = keep_one_of_each(digests(names), np.array(ranks, np.uint8))
    for index, name in enumerate(names):
        equals = [other for other, its in enumerate(names) if its == name]
        best = min(equals, key=lambda other: (ranks[other], other))
        assert (is_kept[index], chosen[index]) == (index == best, best)


def test_names_of_fates_and_of_documents() -> None:
    assert set(DROP_REASONS) == set(Fate) - {Fate.KEPT, Fate.REPEATED_ID, Fate.MISDATED, Fate.DROPPED}
    assert len(set(DROP_REASONS.values())) == len(DROP_REASONS)
    assert SPLITS == ("train", "past", "future")  # the later held out, the higher
    assert document_key("a", "b") != document_key("ab", "")
    assert len(document_key("news", "1")) == 16


def test_memory_of_a_document() -> None:
    count = 50_000
    random = np.random.default_rng(0)
    texts, names = random.integers(0, 2**63, (2, count, 2), np.uint64)
    matrix = random.integers(0, 256, (count, 15), np.uint8)
    documents = Staged(texts, names, np.zeros(count, np.uint8), lambda: [matrix])
    decided(documents, forgotten(), SETTINGS)  # compiled before anything is measured
    tracemalloc.start()
    decision = decided(documents, forgotten(texts="a", ids=["u"], signed="a"), SETTINGS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (decision.fates == Fate.KEPT).all()
    assert peak < 75 * count + 50_000
