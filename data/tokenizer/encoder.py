"""Texts to token ids, by the fastest engine that gives exactly the ids of the `tokenizers` library.

`tokenizer.json` is the truth and `tokenizers` its interpreter. A faster engine is taken only after it has given the
same ids on a fixed set of probes, and whoever encodes much goes on comparing samples (`check_encoder`). Texts with
characters that an engine of others may know from another version of Unicode are always left to `tokenizers`.
"""

import functools
import importlib.metadata
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import Tokenizer

from data.files import file_digest
from data.progress import say
from data.source_config import END_OF_TEXT
from data.tokenizer.build import TOKENIZER, load_tokenizer
from data.tokenizer.code_points import has_unsure, probed_characters

BATCH_BYTES = 4_000_000  # for `tokenizers`, whose encodings take tens of bytes for each character
PROBE_STEP = 17  # one code point of so many is probed
PROBES = (
    "",
    " ",
    "I'm we'LL they've it'd 'twas O'Neil's  don\u2019t\u2019s 'S'",
    "1 12 123 1234 12,345.678 1e-9 0x1F \u0663\u0664 \u00bd\u00b2\u2168 $1.50 -3% 2021-03-04T05:06",
    "line\nline\r\nline\n\n\n  line \n \n\tline\r\r \n  ",
    "   three spaces   \t\ttabs\u00a0\u2003\u3000\u0085\u2028\u2029wide\u200bzero\ufeff\x0b\x0c\x1c ",
    'snake_case CamelCase HTTPServer x+=y; // --== "quoted" (bracketed) <tag/> a/b\\c #x @y !? ...\u2026\u2014',
    "Zu\u0308rich e\u0301 a\u0300\u0301\u0302 \u0301 \u0939\u093f\u0928\u094d\u0926\u0940 \u0e44\u0e17\u0e22 "
    "\u65e5\u672c\u8a9e\u30ab\u30bf \ud55c\uad6d \u0627\u0644\u0639\u0631\u0628\u064a\u0629 \U0001f468\u200d\U0001f469",
    "\x00\x01\x7f\x80\x9f\uffff\ufffd\U0010ffff\ue000",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" * 8 + "=" * 300 + "\n" * 40 + " " * 70 + "x" + "ab" * 200 + "9" * 50,
    f"{END_OF_TEXT} a{END_OF_TEXT}b {END_OF_TEXT[:-1]} [MASK]<s></s>",
)

Ids = npt.NDArray[np.uint32]
Lengths = npt.NDArray[np.int64]


class Encoded(NamedTuple):
    ids: Ids  # (tokens,) of all texts, one behind the other, without end-of-text tokens
    lengths: Lengths  # (texts,) tokens of each


Encode = Callable[[pa.Array], Encoded]


@dataclass(frozen=True)
class Encoder:
    """`encode` takes an Arrow array of strings without nulls."""

    engine: str
    vocabulary_size: int  # one more than the largest id
    encode: Encode
    reference: Encode  # the same by `tokenizers`


class DifferentIdsError(Exception):
    """An engine gave other ids than `tokenizers`."""


def load_encoder(folder: Path, without: Collection[str] = ()) -> Encoder:
    """The fastest engine for folder/tokenizer.json that passes the gate, loaded once in a process.

    An engine that cannot be loaded for this tokenizer is passed over; one that gives another id than `tokenizers` on
    the probes is named on stderr, and the next one is tried. In encoded text the characters of special tokens are only
    characters.

    Args:
        without: engines that are not to be taken.

    Raises:
        DataError: there is no tokenizer, or it cannot be read.
    """
    file = folder / TOKENIZER
    digest = file_digest(file) if file.exists() else ""
    for engine in ENGINES:
        if engine not in without and (encoder := _gated(engine, file, digest)):
            return encoder
    return _plain(_load(file, digest))


@functools.lru_cache(maxsize=2)
def _load(file: Path, digest: str) -> Tokenizer:
    """The tokenizer of this digest: a large one takes a second to read, and every shard asks for it."""
    return load_tokenizer(file.parent)


@functools.cache
def _gated(engine: str, file: Path, digest: str) -> Encoder | None:
    """An engine for the tokenizer of this digest, None if it does not know this kind or fails on a probe."""
    tokenizer = _load(file, digest)
    # As the library holds it: its reading of a score may differ in the last bit from Python's, and break other ties.
    definition = json.loads(tokenizer.to_str())
    plain = _plain(tokenizer)
    encode = ENGINES[engine](definition, plain.encode)
    if encode is None:
        return None
    encoder = Encoder(engine, plain.vocabulary_size, encode, plain.encode)
    try:
        check_encoder(encoder, pa.array([*_probes(), *_added_tokens(definition)], pa.large_string()))
    except DifferentIdsError as difference:
        say(f"encoder: {difference}; taking the next engine")
        return None
    return encoder


def check_encoder(encoder: Encoder, texts: pa.Array) -> None:
    """Compare the engine with `tokenizers` on these texts.

    Raises DifferentIdsError naming the first text that has other ids.
    """
    ours, wanted = encoder.encode(texts), encoder.reference(texts)
    if np.array_equal(ours.lengths, wanted.lengths) and np.array_equal(ours.ids, wanted.ids):
        return
    for text, one, other in zip(texts.to_pylist(), _split(ours), _split(wanted), strict=True):
        if not np.array_equal(one, other):
            raise DifferentIdsError(f"{encoder.engine} gives other ids than tokenizers for the text {text[:40]!r}")
    raise DifferentIdsError(f"{encoder.engine} gives ids that do not add up")


def _split(encoded: Encoded) -> list[Ids]:
    return np.split(encoded.ids, np.cumsum(encoded.lengths)[:-1])


def _probes() -> list[str]:
    points = [chr(point) for point in range(0, 0x20000, PROBE_STEP) if not 0xD800 <= point < 0xE000]
    points += probed_characters()
    rows = ["".join(f"a{point} {point}1{point}" for point in points[start::64]) for start in range(64)]
    return [*PROBES, *rows]


def _added_tokens(definition: dict[str, Any]) -> list[str]:
    added = [token["content"] for token in definition.get("added_tokens", [])]
    return [f"a{token}b {token} {token}" for token in added[:1_000]]


def _plain(tokenizer: Tokenizer) -> Encoder:
    """`tokenizers` itself."""
    size = max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1
    encode = functools.partial(_encode_plainly, tokenizer)
    return Encoder(f"tokenizers {importlib.metadata.version('tokenizers')}", size, encode, encode)


def _encode_plainly(tokenizer: Tokenizer, texts: pa.Array) -> Encoded:
    sizes = pc.binary_length(texts).to_numpy(zero_copy_only=False)
    batches = np.split(np.arange(len(texts)), np.flatnonzero(np.diff(np.cumsum(sizes) // BATCH_BYTES)) + 1)
    ids: list[Ids] = []
    for batch in batches:
        encodings = tokenizer.encode_batch_fast(texts.take(pa.array(batch)).to_pylist(), add_special_tokens=False)
        ids += [np.array(encoding.ids, np.uint32) for encoding in encodings]
    return join_ids(ids)


def join_ids(ids: Sequence[Ids]) -> Encoded:
    """The ids of each text, put behind one another."""
    whole = np.concatenate(ids) if ids else np.zeros(0, np.uint32)
    return Encoded(whole, np.fromiter(map(len, ids), np.int64, len(ids)))


def _exact_where_unsure(encode: Encode, exact: Encode) -> Encode:
    """An engine, and `exact` for the texts that have characters which the engine may know otherwise."""

    def encode_both(texts: pa.Array) -> Encoded:
        unsure = has_unsure(texts)
        if not unsure.any():
            return encode(texts)
        ids = np.empty(len(texts), object)
        for chosen, engine in ((unsure, exact), (~unsure, encode)):
            for place, of_text in zip(
                np.flatnonzero(chosen), _split(engine(texts.filter(pa.array(chosen)))), strict=False
            ):
                ids[place] = of_text
        return join_ids(ids.tolist())

    return encode_both


def _gigatoken(definition: dict[str, Any], exact: Encode) -> Encode | None:
    """gigatoken, which knows byte-level BPE with one of the published pre-tokenization patterns."""
    if definition["model"]["type"] != "BPE":
        return None
    try:
        import gigatoken
    except ImportError:
        return None
    # Special tokens are only characters in text, so that this engine does not hear of them.
    added = [token for token in definition.get("added_tokens", []) if not token.get("special")]
    try:
        tokenizer = gigatoken.Tokenizer.from_json(json.dumps(definition | {"added_tokens": added}))
    except RuntimeError:  # a pattern or a model that it does not know
        return None
    return _exact_where_unsure(
        lambda texts: join_ids([tokenizer.encode(text) for text in texts.cast(pa.large_binary()).to_pylist()]), exact
    )


def _pretoken_table(definition: dict[str, Any], _: Encode) -> Encode | None:
    """The project's own table of pre-tokens, which knows the project's own patterns, for BPE and Unigram.

    Its classes of characters are those of `tokenizers`.
    """
    from data.tokenizer.model import BYTE_LETTERS
    from data.tokenizer.pretoken_table import PretokenTable, ids_by_merges, ids_by_model, ids_by_unigram
    from data.tokenizer.pretokens import known_pattern

    model, added = definition["model"], definition.get("added_tokens", [])
    cuts = known_pattern(definition)
    if cuts is None or definition.get("normalizer") or not all(token["special"] for token in added):
        return None
    find_ids = None
    if model["type"] == "Unigram":
        find_ids = ids_by_unigram(model["vocab"], {token["content"] for token in added})
    elif model["type"] == "BPE" and not model.get("dropout"):
        library = Tokenizer.from_str(json.dumps(definition)).model
        plain = not any(
            model.get(name) for name in ("continuing_subword_prefix", "end_of_word_suffix", "ignore_merges")
        )
        whole = all(letter in model["vocab"] for letter in BYTE_LETTERS)
        find_ids = ids_by_merges(model["vocab"], model["merges"], library) if plain and whole else ids_by_model(library)
    if find_ids is None:
        return None
    table = PretokenTable(*cuts, find_ids)
    return lambda texts: Encoded(*table.encode(texts))


# Fastest first; each takes the content of tokenizer.json and how `tokenizers` encodes by it, and gives None where it
# does not know such a tokenizer.
ENGINES: dict[str, Callable[[dict[str, Any], Encode], Encode | None]] = {
    "gigatoken": _gigatoken,
    "pre-token table": _pretoken_table,
}
