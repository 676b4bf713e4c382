"""The bytes of text that each piece of a tokenizer stands for."""

import json
import re

from tokenizers import Tokenizer

from data.tokenizer.model import BYTE_LETTERS

BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
SPACE_LETTER = "\u2581"  # that stands for a space where pieces are not spelt byte by byte


def piece_bytes(tokenizer: Tokenizer) -> list[bytes]:
    """The bytes of each id, empty for ids without a piece; those of a text's ids, joined, are the text.

    As the tokenizer's own decoder has them: pieces are spelt with a letter for each byte (GPT-2's), or as text with a
    letter for the space and pieces such as <0x0A> for single bytes. Such a one may also put a space before each text.
    """
    decoder = json.loads(tokenizer.to_str()).get("decoder") or {}
    kinds = {part["type"] for part in decoder.get("decoders", [decoder]) if part}
    of_piece = spelt_in_bytes if "ByteLevel" in kinds else _spelt_in_text
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    pieces = [b""] * (max(vocabulary.values(), default=-1) + 1)
    for piece, number in vocabulary.items():
        pieces[number] = of_piece(piece)
    return pieces


_BYTE_OF = {letter: byte for byte, letter in enumerate(BYTE_LETTERS)}


def spelt_in_bytes(piece: str) -> bytes:
    try:
        return bytes(_BYTE_OF[letter] for letter in piece)
    except KeyError:  # an added token with other characters, which the decoder leaves as it is
        return piece.encode()


def _spelt_in_text(piece: str) -> bytes:
    single = BYTE_PIECE.fullmatch(piece)
    return bytes([int(single[1], 16)]) if single else piece.replace(SPACE_LETTER, " ").encode()
