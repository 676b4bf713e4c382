"""What each size of the vocabulary would do to the same text, by which BloombergGPT chose its own.

Theirs is the size with the fewest bits, tokens × log2(size), for a sample (arXiv 2303.17564 §2.3).
"""

import itertools

from tokenizers import Tokenizer

from data.tokenizer.bpe import Bpe
from data.tokenizer.model import piece_name
from data.tokenizer.pretoken_counts import PretokenCounts


def first_pieces(bpe: Bpe, size: int) -> Bpe:
    """The BPE that learning would have ended with at `size` pieces: a beginning of the merges."""
    numbers = {piece: number for number, piece in enumerate(bpe.pieces)}
    made = (numbers[bpe.pieces[left] + bpe.pieces[right]] for left, right in bpe.merges)
    learnt = itertools.accumulate(made, max, initial=255)
    merges = [merge for merge, last in zip(bpe.merges, learnt, strict=False) if last + 1 < size]
    return Bpe(bpe.pieces[:size], merges)


def count_tokens(tokenizer: Tokenizer, text: PretokenCounts) -> int:
    """Tokens that a byte-level tokenizer makes of a text that was counted as its own pre-tokens."""
    content, places = text.text.tobytes(), itertools.pairwise(text.offsets.tolist())
    pretokens = (piece_name(content[begin:end]) for begin, end in places)
    return sum(
        count * len(tokenizer.model.tokenize(pretoken))
        for pretoken, count in zip(pretokens, text.counts.tolist(), strict=True)
    )


def sweep_point(tokenizer: Tokenizer, text: PretokenCounts) -> dict[str, int]:
    """One size and what the text becomes with it, as the tokenizer's report shows it."""
    tokens = count_tokens(tokenizer, text)
    return {"vocabulary_size": tokenizer.get_vocab_size(), "bytes": text.bytes, "tokens": tokens}
