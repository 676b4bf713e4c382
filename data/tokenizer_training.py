"""Files of a corpus to a tokenizer: count, learn the largest vocabulary that is wanted, cut it to the other sizes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from data.bpe import learn_bpe
from data.config import END_OF_TEXT, TokenizerConfig
from data.pretoken_counts import count_pretokens, count_texts, splitting
from data.tokenizer_model import BYTE_ORDER, bpe_tokenizer
from data.tokenizer_report import Made
from data.vocabulary_size import first_pieces, sweep_point

FilesOfSources = Mapping[str, Sequence[Path]]


def train_bpe(
    config: TokenizerConfig,
    files: FilesOfSources,
    fraction: float,
    measured: Sequence[str],
    work: Path,
    workers: int | None,
) -> Made:
    """Learn a BPE from this fraction of the files' text.

    Args:
        measured: texts for the sweep.
        work: a folder of its own for what is kept meanwhile.

    Raises:
        DataError: there is too little text for the vocabulary.
    """
    split = splitting(config.pretokenization, config.digits)
    paths = [path for own in files.values() for path in own]
    counts = count_pretokens(paths, fraction, work, split, workers)
    special_tokens = [END_OF_TEXT, *config.special_tokens]
    sizes = [size - len(special_tokens) for size in (config.vocabulary_size, *sorted(config.sweep))]
    bpe = learn_bpe(counts.text, counts.offsets, counts.counts, BYTE_ORDER, max(sizes), config.max_piece_length)
    tokenizers = [
        bpe_tokenizer(first_pieces(bpe, size), special_tokens, config.pretokenization, config.digits) for size in sizes
    ]
    _check_size(len(bpe.pieces) + len(special_tokens), config.vocabulary_size)
    sample = count_texts([pa.array(measured, pa.large_string())], split)
    return Made(tokenizers[0], training_facts(counts, None), [sweep_point(made, sample) for made in tokenizers[1:]])
