"""Which passages of its training text a model continues word for word, beside passages that it has never read.

A passage is extractable, after Carlini et al. 2022 (arXiv 2202.07646, definition 3.1), when the model, given the tokens
before it, writes it exactly by taking the likeliest token each time; there and here 50 tokens after 50. The model reads
the whole passage at once: its likeliest next tokens agree with the passage to the end if, and only if, writing them one
by one gives the passage, but for rounding where two tokens are equally likely.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.progress import progress
from data.shards.documents import read_documents
from data.shards.packing import SPLIT
from data.shards.reader import DTYPES, OpenFiles, shard_name
from data.stream.stream import Piece, TokenStream
from evaluation.audit.rates import rate
from evaluation.bits_per_byte import HeldOut, Tokens

PREFIX = CONTINUATION = 50
"""Tokens; half a window each where a model reads fewer than 100."""
POOL = 5_000
"""Training passages of which the ledger is asked how often they were seen, before some of each stratum are taken."""
STRATA = ((0, "0"), (1, "1"), (2, "2"), (4, "3–4"), (8, "5–8"), (16, "9–16"), (np.inf, "17 or more"))
"""Of times seen, rounded: most of each, and its name."""
COPIES = ((0, "0"), (1, "1"), (4, "2–4"), (np.inf, "5 or more"))
EXTENDED = 200
"""Passages that were continued to their end of which it is found out how far the model goes on."""
LONGEST = 20
"""Of these are named."""

NOWHERE = Piece("", 0, 0, 0)

Likeliest = Callable[[Tokens], Tokens]
"""From inputs int64 (rows, time) to the likeliest token after each of them, alike; rows may end in padding."""


@dataclass(frozen=True)
class Passage:
    """Tokens of one document, the end-of-text token in front of it included where it begins there.

    Attributes:
        split: "train", "past" or "future".
        piece: where its continuation stands in the training shards; of held-out text nowhere.
        tokens: int64, prefix and continuation, and what follows in the document as far as a model's window goes.
        times_seen: by the model, in whole; 0 for held-out text.
        copies: other training documents that have the continuation; None where they were not counted.
    """

    source: str
    split: str
    document: str
    first_token: int
    tokens: Tokens
    piece: Piece = NOWHERE
    times_seen: float = 0.0
    copies: int | None = None


def prefix_tokens(window: int) -> int:
    """Tokens of prefix and of continuation for a model that reads so many at once."""
    return min(PREFIX, window // 2)


def training_passages(
    stream: TokenStream,
    window: int,
    wanted: int,
    times_seen: Callable[[Piece], float],
    seed: int,
    without: Iterable[str] = (),
) -> list[Passage]:
    """One passage each of documents that are long enough: up to `wanted` of each stratum of times seen.

    Args:
        window: tokens that the model reads at once.
        times_seen: the ledger's answer.
        without: sources to leave out.
    """
    random = np.random.default_rng([seed, 1])
    length = 2 * prefix_tokens(window)
    pool = _long_documents(stream, length, POOL, random, without)
    opened = OpenFiles(stream.local)
    strata: dict[str, list[Passage]] = {}
    for source, file, document, first, tokens in progress(pool, "training passages", unit="passages"):
        offset = int(random.integers(0, tokens - length + 1))  # counted from the end-of-text token in front
        seen = times_seen(Piece(source, file, first + max(offset - 1, 0), length - (offset == 0)))
        of_stratum = strata.setdefault(_stratum(seen), [])
        if len(of_stratum) < wanted:
            piece = Piece(source, file, first + offset - 1 + length // 2, length // 2)
            begin, count = first + max(offset - 1, 0), min(tokens - offset, window + 1) - (offset == 0)
            dtype = DTYPES[stream.packing.dtype]
            text = opened.read_tokens(f"{shard_name(SPLIT, source, file)}.bin", dtype, begin, count).astype(np.int64)
            whole = np.concatenate([[stream.packing.end_of_text], text]) if offset == 0 else text
            of_stratum.append(Passage(source, SPLIT, document, offset, whole, piece, seen))
    return [passage for _, name in STRATA for passage in strata.get(name, [])]


def beginnings(stream: TokenStream, length: int, wanted: int, seed: int, without: Iterable[str] = ()) -> list[Tokens]:
    """The first `length` tokens of up to `wanted` training documents, with the end-of-text token in front of them."""
    pool = _long_documents(stream, length, wanted, np.random.default_rng([seed, 4]), without)
    opened, dtype = OpenFiles(stream.local), DTYPES[stream.packing.dtype]
    found = []
    for source, file, _, first, _ in pool:
        text = opened.read_tokens(f"{shard_name(SPLIT, source, file)}.bin", dtype, first, length - 1)
        found.append(np.concatenate([[stream.packing.end_of_text], text]).astype(np.int64))
    return found


def _long_documents(
    stream: TokenStream, length: int, wanted: int, random: np.random.Generator, without: Iterable[str]
) -> list[tuple[str, int, str, int, int]]:
    """Documents drawn from those that so many tokens fit into, their ends included, in an order that is drawn too.

    Returns:
        Source, file, id, first token in the file and tokens of each.
    """
    files = [
        (source, file)
        for source, packed in stream.packing.sources.items()
        if source not in set(without)
        for file in range(len(packed.tokens))
    ]

    def fitting(source: str, file: int) -> pa.Table:
        table = read_documents_of(stream, source, file)
        return table.filter(pc.greater_equal(table["tokens"], length))

    ends = np.cumsum([fitting(source, file).num_rows for source, file in files], dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    drawn = np.sort(random.choice(total, min(wanted, total), replace=False))
    found = []
    for (source, file), end, of_file in zip(files, ends, np.split(drawn, np.searchsorted(drawn, ends)), strict=False):
        if len(of_file):
            table = fitting(source, file)
            rows = table.take(pa.array(of_file - end + table.num_rows))
            columns = (rows[name].to_pylist() for name in ("id", "first_token", "tokens"))
            found += [(source, file, *row) for row in zip(*columns, strict=True)]
    return [found[place] for place in random.permutation(len(found)).tolist()]


def read_documents_of(stream: TokenStream, source: str, file: int) -> pa.Table:
    """The table of the documents of a training file, as `read_documents` gives it."""
    return read_documents(Path(stream.local(f"{shard_name(SPLIT, source, file)}.documents.parquet")))


def held_out_passages(documents: Sequence[HeldOut], window: int, wanted: int, seed: int) -> list[Passage]:
    """One passage each of up to `wanted` documents of each held-out split, which no model of the run has read."""
    random = np.random.default_rng([seed, 2])
    length = 2 * prefix_tokens(window)
    found: dict[str, list[Passage]] = {}
    for index in random.permutation(len(documents)).tolist():
        source, split, document = documents[index]
        of_split = found.setdefault(split, [])
        room = len(document.tokens) + 1 - length
        if room >= 0 and len(of_split) < wanted:
            offset = int(random.integers(0, room + 1))
            text = np.concatenate([[document.end_of_text], document.tokens]).astype(np.int64)
            of_split.append(Passage(source, split, document.id, offset, text[offset : offset + window + 1]))
    return [passage for split in sorted(found) for passage in found[split]]


def _stratum(seen: float) -> str:
    return next(name for most, name in STRATA if round(seen) <= most)


def exact_tokens(
    passages: Sequence[Passage], likeliest: Likeliest, prefix: int, batch_tokens: int, most: int
) -> list[int]:
    """How many tokens of each passage, from its continuation's first on, a model writes exactly.

    Args:
        batch_tokens: inputs that it is asked about at once.
        most: tokens that are looked at.
    """
    found = []
    rows = max(1, batch_tokens // (prefix + most))
    for first in progress(range(0, len(passages), rows), "asking for passages", unit="batches"):
        texts = [passage.tokens[: prefix + most] for passage in passages[first : first + rows]]
        inputs = np.zeros((len(texts), max(map(len, texts)) - 1), np.int64)
        for row, text in enumerate(texts):
            inputs[row, : len(text) - 1] = text[:-1]
        written = likeliest(inputs)
        found += [
            _agreeing(row[prefix - 1 : len(text) - 1], text[prefix:]) for row, text in zip(written, texts, strict=True)
        ]
    return found


def _agreeing(written: Tokens, text: Tokens) -> int:
    differing = np.flatnonzero(written != text)
    return int(differing[0]) if len(differing) else len(text)


def measure_memorisation(
    passages: Sequence[Passage], likeliest: Likeliest, window: int, batch_tokens: int
) -> tuple[dict[str, Any], list[Tokens]]:
    """The `memorisation` of audit.json, and the tokens that the model wrote of each of its `longest`.

    Rates are of passages whose continuation is written exactly, by times seen, by copies and by held-out split. There
    is none of all training passages: strata are sampled alike, whatever their share of the text.
    """
    prefix = prefix_tokens(window)
    agreeing = exact_tokens(passages, likeliest, prefix, batch_tokens, prefix)
    exact = [count == prefix for count in agreeing]

    def figure(places: Iterable[int]) -> dict[str, Any]:
        of = list(places)
        mean = float(np.mean([agreeing[place] for place in of])) if of else None
        return rate(sum(exact[place] for place in of), len(of)) | {"mean_exact_tokens": mean}

    places = range(len(passages))
    trained = [place for place in places if passages[place].split == SPLIT]
    longest, written = _longest(
        [passages[place] for place in places if exact[place]], likeliest, prefix, batch_tokens, window
    )
    result = {
        "definition": f"after {prefix} tokens, the likeliest one each time gives the next {prefix} exactly",
        "prefix_tokens": prefix,
        "continuation_tokens": prefix,
        "by_times_seen": {
            name: figure(those)
            for _, name in STRATA
            if (those := [place for place in trained if _stratum(passages[place].times_seen) == name])
        },
        "by_copies": {
            name: figure(those) for name, those in _by_copies([(place, passages[place]) for place in trained])
        },
        "held_out": {
            split: figure(place for place in places if passages[place].split == split)
            for split in sorted({passage.split for passage in passages} - {SPLIT})
        },
        "exact": sum(exact),
        **longest,
    }
    return result, written


def _by_copies(placed: Iterable[tuple[int, Passage]]) -> Iterator[tuple[str, list[int]]]:
    """Places by how many copies there are, where that is known; those that were never seen teach nothing of it."""
    known = [(place, passage.copies) for place, passage in placed if passage.copies is not None and passage.times_seen]
    least = -1.0
    for most, name in COPIES:
        if those := [place for place, copies in known if least < copies <= most]:
            yield name, those
        least = most


def _longest(
    exact: Sequence[Passage], likeliest: Likeliest, prefix: int, batch_tokens: int, window: int
) -> tuple[dict[str, Any], list[Tokens]]:
    """The passages that a model goes on with longest, to the end of its window: {"longest", "extended"}, and tokens."""
    extended = [exact[place] for place in _evenly(len(exact), EXTENDED)]
    counts = exact_tokens(extended, likeliest, prefix, batch_tokens, window + 1 - prefix)
    longest = sorted(zip(counts, extended, strict=True), key=lambda pair: -pair[0])[:LONGEST]
    named = [
        {
            "source": passage.source,
            "split": passage.split,
            "document": passage.document,
            "first_token": passage.first_token,
            "exact_tokens": count,
            "times_seen": passage.times_seen,
            "copies": passage.copies,
        }
        for count, passage in longest
    ]
    written = [passage.tokens[prefix : prefix + count] for count, passage in longest]
    return {"extended": len(extended), "longest": named}, written


def _evenly(length: int, most: int) -> list[int]:
    return np.unique(np.linspace(0, length - 1, min(length, most)).astype(np.int64)).tolist() if length else []
