"""A given byte-level BPE with further merges behind its own, chosen by the tokens that they save on the domain's text.

The text is encoded by the given tokenizer and cut by its own rules; then the most frequent pair of neighbouring pieces
becomes a piece, pairs are counted anew, and so on. What was there stays: ids, merges and their order, special tokens.
As every new merge makes a piece that did not exist, no old merge can follow it, so that a text's new ids, each spelled
out in old ones, are exactly its old ids.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tokenizers import Tokenizer

from data.errors import DataError
from data.tokenizer.model import BYTE_LETTERS
from data.tokenizer.piece_bytes import piece_bytes, spelt_in_bytes

LEAST_OFTEN = 2  # a pair that occurs once in all the text is chance
BEST = 50
LETTERS = frozenset(BYTE_LETTERS)
Spelled = dict[int, tuple[int, ...]]


class Extended(NamedTuple):
    """The content of a tokenizer.json, and what its new pieces do."""

    definition: dict[str, Any]
    saved: list[int]
    """Tokens that each new piece saved there when it was made, in the order of their ids."""
    only_parts: int
    """How many of them occur there only as parts of others."""


def check_extendable(file: Path) -> None:
    """Raise DataError naming why no merges can be put behind those of a tokenizer.json."""
    definition = json.loads(file.read_bytes())
    model = definition.get("model", {})
    kind = model.get("type")
    vocabulary = model["vocab"] if kind == "BPE" else {}
    parts = [definition.get(name) or {} for name in ("pre_tokenizer", "decoder")]
    in_bytes = all('"ByteLevel"' in json.dumps(part) for part in parts)
    used = [
        name
        for name in ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback")
        if model.get(name)
    ]
    numbers = sorted({*vocabulary.values(), *(token["id"] for token in definition.get("added_tokens", []))})
    if kind != "BPE":
        why = f"it is a {kind}, whose pieces are not made by merges"
    elif used:
        why = f"it has {', '.join(used)}, which its merges depend on"
    elif not model.get("merges"):
        why = "it has no merges"
    elif not in_bytes or not vocabulary.keys() >= LETTERS:
        why = "its pieces are not spelled byte by byte (ByteLevel, with all 256 bytes)"
    elif numbers != list(range(len(numbers))):
        missing = next(place for place, number in enumerate(numbers) if place != number)
        why = f"its ids have a hole at {missing}, which a new piece would be taken for"
    else:
        return
    raise DataError(
        f"{file} cannot be extended: {why}: leave out tokenizer.extend, or take a byte-level BPE as tokenizer.path"
    )


def extend(definition: Mapping[str, Any], words: Any, most: int, longest: int) -> Extended:
    """Put up to `most` pieces behind those of a tokenizer that `check_extendable` has passed.

    Args:
        definition: the content of its tokenizer.json.
        words: `PretokenCounts` of the text to learn from, counted as this tokenizer's ids.
        longest: bytes that a new piece may have.
    """
    from data.tokenizer.bpe import learn_further  # compiled code, which those who only read need not wait for
    from data.tokenizer.pretoken_counts import ID

    model = dict(definition["model"])
    # The library numbers added tokens behind the pieces of the model, whatever their ids here say, unless the model
    # has them; and no new piece may be called as one of them is.
    added = {token["content"]: token["id"] for token in definition.get("added_tokens", [])}
    vocabulary: dict[str, int] = {**model["vocab"], **added}
    spelled = {name: number for name, number in vocabulary.items() if LETTERS.issuperset(name)}
    names, ids = list(spelled), np.fromiter(spelled.values(), np.int64, len(spelled))
    given = [spelt_in_bytes(name) for name in names]
    number_of = np.full(max(vocabulary.values()) + 1, -1, np.int32)
    number_of[ids] = np.arange(len(ids))

    sizes = np.diff(words.offsets) // ID.itemsize
    several = sizes > 1  # also leaves out what is an added token, which may be spelled otherwise
    numbers = number_of[words.text.view(ID)[np.repeat(several, sizes)]]
    offsets, counts = np.concatenate(([0], np.cumsum(sizes[several]))), words.counts[several]
    learnt = learn_further(numbers, offsets, counts, given, most, longest, LEAST_OFTEN)

    first, merges = len(vocabulary), list(model["merges"])
    in_pairs = not isinstance(merges[0], str)
    for place, (left, right) in enumerate(learnt.merges):
        names.append(names[left] + names[right])
        vocabulary[names[-1]] = first + place
        merges.append([names[left], names[right]] if in_pairs else f"{names[left]} {names[right]}")
    model |= {"vocab": dict(sorted(vocabulary.items(), key=lambda entry: entry[1])), "merges": merges}
    return Extended(
        {**definition, "model": model},
        learnt.saved,
        _only_parts(learnt.merges, learnt.saved, len(given)),
    )


def _only_parts(merges: Sequence[tuple[int, int]], saved: Sequence[int], given: int) -> int:
    """How many new pieces are nowhere left when all merges are done: what is made of a piece is taken from it."""
    left = list(saved)
    for (first, second), count in zip(merges, saved, strict=True):
        for part in (first, second):
            if part >= given:
                left[part - given] -= count
    return sum(count == 0 for count in left)


def spelled_by(file: Path, pieces: int) -> Spelled:
    """The ids of the given tokenizer that spelled each of the last `pieces` pieces of an extended tokenizer.json.

    Raises:
        DataError: it does not exist, or was not extended by so many.
    """
    if not file.is_file():
        raise DataError(
            f"{file} does not exist, and says what the new pieces are made of: run `domainlm tokenize CONFIG`"
        )
    model = json.loads(file.read_bytes())["model"]
    vocabulary, spelled = model["vocab"], Spelled()
    first = len(vocabulary) - pieces
    for merge in model.get("merges", [])[-pieces:]:
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        made = vocabulary[left + right]
        parts = vocabulary[left], vocabulary[right]
        spelled[made] = tuple(number for part in parts for number in spelled.get(part, (part,)))
    if sorted(spelled) != list(range(first, len(vocabulary))):
        raise DataError(f"{file} was not extended by {pieces} pieces: run `domainlm tokenize CONFIG` again")
    return spelled


def check_extension(given: Tokenizer, extended: Tokenizer, spelled: Spelled, texts: Sequence[str]) -> tuple[int, int]:
    """Tokens of the texts, before and after the extension.

    Raises DataError naming a text that the extended tokenizer does not encode as the given one, spelled out.
    """
    direct = json.loads(given.to_str())["model"].get("ignore_merges")  # a whole word may be found without merges
    marks = {number for number, token in given.get_added_tokens_decoder().items() if token.special}
    old, new = piece_bytes(given), piece_bytes(extended)
    tokens = np.zeros(2, np.int64)
    for text in texts:
        before, after = (one.encode(text, add_special_tokens=False).ids for one in (given, extended))
        tokens += len(before), len(after)
        same = [number for piece in after for number in spelled.get(piece, (piece,))] == before
        if not same and direct and not marks.intersection(after):
            same = b"".join(old[number] for number in before) == b"".join(new[number] for number in after)
        if not same:
            raise DataError(
                f"the extended tokenizer encodes {text[:40]!r} otherwise than the given one: leave out tokenizer.extend"
            )
    return int(tokens[0]), int(tokens[1])
