"""A given tokenizer with further merges: by hand, against plain Python, on any text, and what cannot be extended."""

import itertools
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer

from data.errors import DataError
from data.source_config import END_OF_TEXT
from data.tokenizer.bpe import learn_bpe
from data.tokenizer.extend import Extended, check_extendable, check_extension, extend, spelled_by
from data.tokenizer.model import BYTE_LETTERS, BYTE_ORDER, bpe_tokenizer
from data.tokenizer.piece_bytes import piece_bytes
from data.tokenizer.pretoken_counts import ID, Encoding, Limits, count_texts
from data.tokenizer.pretokens import splitting

GENERAL = "the cat and the dog and the other day they ran and ran in the rain 1,024 times " * 3
WORDS = "mortgage mortgages mortgaged swap swaption swaptions aaaa aaaaaaa bank's banks Zürich Zürcher 1,024 the and"
DOMAIN = [f"{one} {two} of the {one}" for one in WORDS.split() for two in reversed(WORDS.split())]
MARKS = ["<s>", END_OF_TEXT, "swaption"]
ADDED = ["bank's"]  # which text does become
LETTERS = frozenset(BYTE_LETTERS)


def general(marks: Sequence[str] = MARKS, **changes: Any) -> dict[str, Any]:
    """A tokenizer of general text as it is published: marks are behind the pieces, and not in the model."""
    counts = count_texts([pa.array([GENERAL], pa.large_string())], splitting("words", "triples"))
    bpe = learn_bpe(counts.text, counts.offsets, counts.counts, BYTE_ORDER, 280, 64)
    definition = json.loads(bpe_tokenizer(bpe, [], "words", "triples").to_str())
    tokenizer = Tokenizer.from_str(json.dumps(definition))
    tokenizer.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in marks])
    tokenizer.add_tokens([AddedToken(piece, normalized=False) for piece in ADDED])
    definition = json.loads(tokenizer.to_str())
    return {**definition, "model": definition["model"] | changes}


def as_used(definition: dict[str, Any]) -> Tokenizer:
    tokenizer = Tokenizer.from_str(json.dumps(definition))
    tokenizer.encode_special_tokens = True
    return tokenizer


def extended(definition: dict[str, Any], pieces: int, longest: int = 64) -> Extended:
    texts = pa.array(DOMAIN, pa.large_string())
    return extend(definition, count_texts([texts], Encoding(json.dumps(definition))), pieces, longest)


@pytest.fixture(scope="module")
def before() -> dict[str, Any]:
    return general()


@pytest.fixture(scope="module")
def after(before: dict[str, Any]) -> Extended:
    return extended(before, 30)


def words_of(definition: dict[str, Any]) -> list[list[str]]:
    words: list[list[str]] = []
    for encoding in as_used(definition).encode_batch(DOMAIN, add_special_tokens=False):
        for place, word in enumerate(encoding.word_ids):
            if place == 0 or word != encoding.word_ids[place - 1]:
                words.append([])
            words[-1].append(encoding.tokens[place])
    return words


def plain_merges(definition: dict[str, Any], pieces: int, longest: int) -> list[tuple[list[str], int]]:
    """The most frequent pair, again and again, in plain Python: the pair, and how many tokens it saved."""
    taken = set(as_used(definition).get_vocab(with_added_tokens=True))
    order = [name for name in [*definition["model"]["vocab"], *MARKS, *ADDED] if LETTERS.issuperset(name)]
    words, merges = words_of(definition), []
    while len(merges) < pieces:
        pairs = Counter(pair for word in words for pair in itertools.pairwise(word))
        allowed = [pair for pair, count in pairs.items() if count > 1 and "".join(pair) not in taken]
        allowed = [pair for pair in allowed if len("".join(pair)) <= longest]
        if not allowed:
            break
        left, right = min(allowed, key=lambda pair: (-pairs[pair], order.index(pair[0]), order.index(pair[1])))
        taken.add(left + right)
        order.append(left + right)
        before = sum(map(len, words))
        words = [merged(word, left, right) for word in words]
        merges.append(([left, right], before - sum(map(len, words))))
    return merges


def merged(word: list[str], left: str, right: str) -> list[str]:
    new, place = [], 0
    while place < len(word):
        both = word[place : place + 2] == [left, right]
        new.append(left + right if both else word[place])
        place += 2 if both else 1
    return new


@pytest.mark.parametrize(("pieces", "longest"), [(30, 64), (500, 64), (500, 4)])
def test_the_merges_are_those_of_plain_python(before: dict[str, Any], pieces: int, longest: int) -> None:
    made = extended(before, pieces, longest)
    wanted = plain_merges(before, pieces, longest)
    old = len(before["model"]["merges"])
    assert made.definition["model"]["merges"][old:] == [pair for pair, _ in wanted]
    assert made.saved == [saved for _, saved in wanted]
    assert len(wanted) == 30 or len(wanted) < 500, "what occurs once is no piece"
    tokens = [sum(map(len, words_of(definition))) for definition in (before, made.definition)]
    assert tokens[0] - tokens[1] == sum(made.saved)
    used = {name for word in words_of(made.definition) for name in word}
    assert made.only_parts == sum(left + right not in used for (left, right), _ in wanted)


def test_what_was_there_stays(before: dict[str, Any], after: Extended) -> None:
    old, new = as_used(before), as_used(after.definition)
    assert old.get_vocab(with_added_tokens=True).items() <= new.get_vocab(with_added_tokens=True).items()
    assert sorted(new.get_vocab(with_added_tokens=True).values()) == list(range(old.get_vocab_size() + 30))
    merges = before["model"]["merges"]
    assert after.definition["model"]["merges"][: len(merges)] == merges
    others = before.keys() - {"model"}
    assert {key: after.definition[key] for key in others} == {key: before[key] for key in others}
    saved = json.loads(new.to_str())
    assert Tokenizer.from_str(json.dumps(saved)).get_vocab() == new.get_vocab(), "also when it was saved"
    assert saved["added_tokens"] == before["added_tokens"]


def spelled(after: Extended, folder: Path) -> dict[int, tuple[int, ...]]:
    (folder / "tokenizer.json").write_text(json.dumps(after.definition))
    return spelled_by(folder / "tokenizer.json", len(after.saved))


PARTS = st.sampled_from([*WORDS.split(), *MARKS, " ", "\n", "swap", "tion", "s", "1", "\u00e9", "\U0001f600"])


@pytest.fixture(scope="module")
def both(before: dict[str, Any], after: Extended) -> tuple[Tokenizer, Tokenizer]:
    return as_used(before), as_used(after.definition)


@pytest.fixture(scope="module")
def made_of(after: Extended, tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[int, ...]]:
    return spelled(after, tmp_path_factory.mktemp("extended"))


@given(st.one_of(st.text(), st.lists(PARTS).map("".join)))
@settings(max_examples=200)
def test_any_text_has_its_old_ids_spelled_out_and_comes_back(
    both: tuple[Tokenizer, Tokenizer], made_of: dict[int, tuple[int, ...]], text: str
) -> None:
    old_ids, ids = (one.encode(text, add_special_tokens=False).ids for one in both)
    assert [number for piece in ids for number in made_of.get(piece, (piece,))] == old_ids
    if not made_of.keys() & set(ids):
        assert ids == old_ids
    pieces = piece_bytes(both[1])
    assert b"".join(pieces[number] for number in ids) == text.encode()
    assert check_extension(*both, made_of, [text]) == (len(old_ids), len(ids))


def test_a_mark_is_not_made_of_its_characters(before: dict[str, Any], after: Extended) -> None:
    """Also not where the text is full of them, as here of "swaption"."""
    new = as_used(after.definition)
    for mark in MARKS:
        assert new.token_to_id(mark) not in new.encode(mark, add_special_tokens=False).ids
    new.encode_special_tokens = False
    assert new.encode("a<s>").ids[-1] == new.token_to_id("<s>") == as_used(before).token_to_id("<s>")


def test_pieces_that_are_found_without_merges(tmp_path: Path) -> None:
    """With `ignore_merges`, as of Llama 3, a word that is a piece needs no merges: its bytes stay."""
    before = general(MARKS[:2], ignore_merges=True)
    after = extended(before, 40)
    old, new = as_used(before), as_used(after.definition)
    tokens = check_extension(old, new, spelled(after, tmp_path), DOMAIN)
    assert tokens[0] - tokens[1] >= sum(after.saved)
    # But a word that is a mark would become it.
    before = general(ignore_merges=True)
    after = extended(before, 40)
    with pytest.raises(DataError, match=r"encodes 'swaption.* otherwise than the given one: leave out"):
        check_extension(as_used(before), as_used(after.definition), spelled(after, tmp_path), DOMAIN)


def test_older_files_spell_a_merge_in_one(before: dict[str, Any], after: Extended, tmp_path: Path) -> None:
    older = {**before["model"], "merges": [" ".join(pair) for pair in before["model"]["merges"]]}
    made = extended({**before, "model": older}, 30)
    assert as_used(made.definition).to_str() == as_used(after.definition).to_str()
    assert spelled(made, tmp_path) == spelled(after, tmp_path)


def test_rows_of_a_tokenizer_that_is_not_so_extended(after: Extended, tmp_path: Path) -> None:
    spelled(after, tmp_path)
    file = tmp_path / "tokenizer.json"
    with pytest.raises(DataError, match=r"was not extended by 31 pieces: run `domainlm tokenize CONFIG` again"):
        spelled_by(file, 31)
    file.unlink()
    with pytest.raises(DataError, match=r"tokenizer\.json does not exist, and says what the new pieces are made of"):
        spelled_by(file, 30)


def test_another_tokenizer_is_no_extension(
    before: dict[str, Any], after: Extended, made_of: dict[int, tuple[int, ...]]
) -> None:
    other = {**before, "model": {**before["model"], "merges": before["model"]["merges"][:-5]}}
    with pytest.raises(DataError, match=r"encodes .* otherwise than the given one"):
        check_extension(as_used(other), as_used(after.definition), made_of, [GENERAL])


def test_a_pretoken_that_is_too_long_is_left_out_and_counted(before: dict[str, Any]) -> None:
    texts = pa.array(["x" * 300, "swap"], pa.large_string())
    counts = count_texts([texts], Encoding(json.dumps(before)), Limits(100, 1000))
    assert (counts.cut_pretokens, counts.cut_occurrences, counts.documents, counts.bytes) == (1, 1, 2, 304)
    ids = as_used(before).encode("swap", add_special_tokens=False).ids
    assert counts.text.view(ID).tolist() == ids


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": {"type": "Unigram", "vocab": [["a", 0.0]]}}, "it is a Unigram, whose pieces are not made by merges"),
        ({"byte_fallback": True}, "it has byte_fallback, which its merges depend on"),
        ({"end_of_word_suffix": "</w>"}, "it has end_of_word_suffix"),
        ({"dropout": 0.1}, "it has dropout"),
        ({"merges": []}, "it has no merges"),
        ({"pre_tokenizer": {"type": "Metaspace"}}, "its pieces are not spelled byte by byte"),
        ({"added_tokens": [{"id": 290, "content": "<e>"}]}, "its ids have a hole at 280"),
    ],
)
def test_what_cannot_be_extended_is_named(
    before: dict[str, Any], tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps(before))
    check_extendable(file)
    changed = before | changes if changes.keys() <= before.keys() else before | {"model": before["model"] | changes}
    file.write_text(json.dumps(changed))
    with pytest.raises(DataError, match=rf"cannot be extended: {said}.*: leave out tokenizer\.extend, or take"):
        check_extendable(file)
