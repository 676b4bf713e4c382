"""Files of a corpus to a tokenizer: learn the largest vocabulary that is wanted, and cut it to each size.

What each size would do to the same text is reported, as BloombergGPT chose its own: the size with the fewest bits,
tokens × log2(size), for a sample (arXiv 2303.17564 §2.3).
"""

import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from data.config import TokenizerConfig
from data.errors import DataError
from data.progress import say
from data.source_config import END_OF_TEXT
from data.tokenizer.bpe import Bpe, learn_bpe
from data.tokenizer.extend import BEST, LEAST_OFTEN, extend
from data.tokenizer.model import BYTE_ORDER, bpe_tokenizer, piece_name, unigram_tokenizer
from data.tokenizer.piece_bytes import spelt_in_bytes
from data.tokenizer.pretoken_counts import Encoding, PretokenCounts, count_pretokens, count_texts, training_facts
from data.tokenizer.pretokens import Splitting, splitting
from data.tokenizer.report import Made, TrainingFacts
from data.tokenizer.strings import apart
from data.tokenizer.text import find_chunks
from data.tokenizer.unigram import cut
from data.tokenizer.unigram_chunks import ChunkSettings, learn_chunks


class _Task(NamedTuple):
    config: TokenizerConfig
    files: Mapping[str, Sequence[Path]]  # of each source
    fraction: float  # of their text that is learnt from
    special_tokens: Sequence[str]
    size: int  # pieces wanted, without special tokens
    split: Splitting
    work: Path
    workers: int | None


class _Learnt(NamedTuple):
    pieces: int  # without special tokens
    tokenizer_of: Callable[[int], Tokenizer]  # with so many of the pieces
    facts: TrainingFacts


def train_tokenizer(
    config: TokenizerConfig,
    files: Mapping[str, Sequence[Path]],
    fraction: float,
    texts: Iterable[str],
    work: Path,
    workers: int | None,
) -> Made:
    """Train a tokenizer on this fraction of the text of each source's files.

    Args:
        texts: what the sizes in config.sweep are tried on.
        work: a folder of its own for what is kept meanwhile; a Unigram's chunks that lie there are not learnt again.

    Raises:
        DataError: there is too little text for the vocabulary.
    """
    special_tokens = [END_OF_TEXT, *config.special_tokens]
    split = splitting(config.pretokenization, config.digits)
    size = max(config.vocabulary_size, *config.sweep, 0) - len(special_tokens)
    task = _Task(config, files, fraction, special_tokens, size, split, work, workers)
    learnt = _learn_bpe(task) if config.kind == "bpe" else _learn_unigram(task)
    available = learnt.pieces + len(special_tokens)
    if available < config.vocabulary_size:
        raise DataError(
            f"the training text yields {available:,} pieces, not {config.vocabulary_size:,}: add text, or set "
            f"tokenizer.vocabulary_size and model.vocabulary_size to {available} or less"
        )
    sweep = []
    if config.sweep:
        sample = count_texts([pa.array(texts, pa.large_string())], split)
        for size in sorted({config.vocabulary_size, *config.sweep}):
            if size <= available:
                sweep.append(sweep_point(learnt.tokenizer_of(size - len(special_tokens)), sample))
            else:
                say(f"tokenizer: no sweep at {size:,} pieces, the training text yields only {available:,}")
    return Made(learnt.tokenizer_of(config.vocabulary_size - len(special_tokens)), learnt.facts, sweep)


def extend_tokenizer(
    config: TokenizerConfig,
    given: Path,
    files: Mapping[str, Sequence[Path]],
    fraction: float,
    work: Path,
    workers: int | None,
) -> Made:
    """Put config.extend pieces behind those of a given tokenizer.json, learnt from text as `train_tokenizer` has it.

    Raises:
        DataError: there is too little text for so many.
    """
    assert config.extend is not None
    content = Tokenizer.from_file(str(given)).to_str()
    words = count_pretokens(files, fraction, work, Encoding(content), workers)
    extended = extend(json.loads(content), words, config.extend, config.max_piece_length)
    if (available := len(extended.saved)) < config.extend:
        size = config.vocabulary_size - config.extend + available
        raise DataError(
            f"the training text yields {available:,} further pieces that occur {LEAST_OFTEN} times or more, not "
            f"{config.extend:,}: add text, or set tokenizer.extend to {available} or less (of {available}, "
            f"tokenizer.vocabulary_size is {size}), or leave it out"
        )
    pieces = list(extended.definition["model"]["vocab"])[-available:]
    order = sorted(range(available), key=lambda place: (-extended.saved[place], place))[:BEST]
    best = [
        {"piece": spelt_in_bytes(pieces[place]).decode("utf-8", "replace"), "saved": extended.saved[place]}
        for place in order
    ]
    facts = {"new_pieces": available, "only_parts": extended.only_parts, "best": best}
    tokenizer = Tokenizer.from_str(json.dumps(extended.definition, ensure_ascii=False))
    return Made(tokenizer, training_facts(words), extension=facts)


def _learn_bpe(task: _Task) -> _Learnt:
    config = task.config
    counts = count_pretokens(task.files, task.fraction, task.work, task.split, task.workers)
    bpe = learn_bpe(counts.text, counts.offsets, counts.counts, BYTE_ORDER, task.size, config.max_piece_length)

    def tokenizer_of(size: int) -> Tokenizer:
        return bpe_tokenizer(first_pieces(bpe, size), task.special_tokens, config.pretokenization, config.digits)

    return _Learnt(len(bpe.pieces), tokenizer_of, training_facts(counts))


def _learn_unigram(task: _Task) -> _Learnt:
    config = task.config
    size = config.chunk_vocabulary_size or task.size
    settings = ChunkSettings(task.split, task.fraction, size, config.max_piece_length)
    chunks = find_chunks(task.files, config.chunk_bytes / task.fraction)
    model, facts = learn_chunks(chunks, settings, task.work, task.workers)

    def tokenizer_of(size: int) -> Tokenizer:
        chosen = cut(model, size)
        order = np.argsort(-chosen.masses, kind="stable")
        pieces, scores = chosen.pieces.take(order).to_pylist(), np.log(chosen.probabilities[order]).tolist()
        return unigram_tokenizer(pieces, scores, task.special_tokens, config.pretokenization, config.digits)

    return _Learnt(len(model.pieces), tokenizer_of, facts)


def first_pieces(bpe: Bpe, size: int) -> Bpe:
    """The BPE that learning would have ended with at `size` pieces: a beginning of the merges."""
    numbers = {piece: number for number, piece in enumerate(bpe.pieces)}
    made = (numbers[bpe.pieces[left] + bpe.pieces[right]] for left, right in bpe.merges)
    learnt = itertools.accumulate(made, max, initial=255)
    merges = [merge for merge, last in zip(bpe.merges, learnt, strict=False) if last + 1 < size]
    return Bpe(bpe.pieces[:size], merges)


def count_tokens(tokenizer: Tokenizer, text: PretokenCounts) -> int:
    """Tokens that a byte-level tokenizer makes of a text that was counted as its own pre-tokens."""
    return sum(
        count * len(tokenizer.model.tokenize(piece_name(pretoken)))
        for pretoken, count in zip(apart(text.text, text.offsets), text.counts.tolist(), strict=True)
    )


def sweep_point(tokenizer: Tokenizer, text: PretokenCounts) -> dict[str, int]:
    """One size and what the text becomes with it, as the tokenizer's report shows it."""
    tokens = count_tokens(tokenizer, text)
    return {"vocabulary_size": tokenizer.get_vocab_size(), "bytes": text.bytes, "tokens": tokens}
