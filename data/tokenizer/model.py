"""Learnt pieces as a byte-level tokenizer of the `tokenizers` library."""

from collections.abc import Sequence
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models

from data.tokenizer.bpe import Bpe
from data.tokenizer.pretokens import Digits, Pretokenization, pre_tokenizer


def _byte_letters() -> str:
    """The letter that stands for each byte: GPT-2's, which the library's ByteLevel uses.

    Printable characters of Latin-1 stand for themselves, the other bytes are numbered from U+0100 on.
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    return "".join(chr(byte if byte in printable else 0x100 + others.index(byte)) for byte in range(256))


BYTE_LETTERS = _byte_letters()
# The library's trainers number the bytes in the order of their letters.
BYTE_ORDER = bytes(sorted(range(256), key=lambda byte: BYTE_LETTERS[byte]))


def piece_name(piece: bytes) -> str:
    """A piece as tokenizer.json spells it, with a letter for each byte."""
    return "".join(BYTE_LETTERS[byte] for byte in piece)


def bpe_tokenizer(bpe: Bpe, special_tokens: Sequence[str], cuts: Pretokenization, digits: Digits) -> Tokenizer:
    """A BPE whose special tokens come first, then what was learnt."""
    names = [piece_name(piece) for piece in bpe.pieces]
    vocabulary = {name: number for number, name in enumerate([*special_tokens, *names])}
    merges = [(names[left], names[right]) for left, right in bpe.merges]
    return _tokenizer(models.BPE(vocabulary, merges), special_tokens, cuts, digits)


def unigram_tokenizer(
    pieces: Sequence[bytes],
    scores: Sequence[float],
    special_tokens: Sequence[str],
    cuts: Pretokenization,
    digits: Digits,
) -> Tokenizer:
    """A Unigram whose special tokens come first; scores are natural logarithms of probabilities."""
    vocabulary = [(token, 0.0) for token in special_tokens]
    vocabulary += [(piece_name(piece), score) for piece, score in zip(pieces, scores, strict=True)]
    return _tokenizer(models.Unigram(vocabulary), special_tokens, cuts, digits)


def _tokenizer(model: Any, special_tokens: Sequence[str], cuts: Pretokenization, digits: Digits) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizer(cuts, digits)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special_tokens])
    return tokenizer
