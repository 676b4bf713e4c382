"""The bytes of pieces joined are the text, for tokenizers that spell pieces in bytes and for those that do not."""

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from data.tokenizer.model import BYTE_LETTERS
from data.tokenizer.piece_bytes import piece_bytes

TEXT = "Z\u00fcrich,  \u65e5\u672c \U0001f600\n\x00 1,024 <0x41>"


def joined(tokenizer: Tokenizer, text: str) -> bytes:
    pieces = piece_bytes(tokenizer)
    return b"".join(pieces[number] for number in tokenizer.encode(text).ids)


def test_pieces_that_are_spelt_in_bytes() -> None:
    vocabulary = {letter: number for number, letter in enumerate(BYTE_LETTERS)} | {"\u0120\u0120": 300}
    tokenizer = Tokenizer(models.BPE(vocabulary, [("\u0120", "\u0120")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens([AddedToken("\u65e5 \u672c", normalized=False)])
    assert joined(tokenizer, TEXT) == TEXT.encode()
    assert joined(tokenizer, "a \u65e5 \u672c b") == "a \u65e5 \u672c b".encode()
    assert piece_bytes(tokenizer)[260:300] == [b""] * 40, "ids between the pieces are of none"


def test_pieces_that_are_spelt_in_text() -> None:
    """Llama's kind: a letter for the space, and single bytes where there is no piece."""
    vocabulary = {f"<0x{byte:02X}>": byte for byte in range(256)} | {"\u2581": 256, "Z": 257, "\u2581\u2581": 258}
    model = models.BPE(vocabulary, [("\u2581", "\u2581")], byte_fallback=True)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=False)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    assert joined(tokenizer, TEXT) == TEXT.encode()
    assert tokenizer.decode(tokenizer.encode(TEXT).ids) == TEXT
