"""The figures of a tokenizer, against words and tokens counted by hand."""

from tokenizers import Tokenizer, models, pre_tokenizers

from data.tokenizer.bpe import Bpe
from data.tokenizer.model import BYTE_ORDER, bpe_tokenizer
from data.tokenizer.report import KINDS, TrainingFacts, find_words, measure, piece_samples


def make_tokenizer(*merged: bytes) -> Tokenizer:
    """A BPE that knows these pieces; each is merged byte by byte from the left."""
    pieces = [bytes([byte]) for byte in BYTE_ORDER]
    merges = []
    for piece in merged:
        for end in range(2, len(piece) + 1):
            if piece[:end] not in pieces:
                merges.append((pieces.index(piece[: end - 1]), pieces.index(piece[end - 1 : end])))
                pieces.append(piece[:end])
    return bpe_tokenizer(Bpe(pieces, merges), ["<|endoftext|>"], "bloomberggpt", "single")


def test_words_of_each_kind() -> None:
    text = "(NYSE: IBM) rose 1,024.5% in 2019; monetary disinflation, disinflationary Q4 A ABCDEF 3rd"
    documents = find_words({"news": [text, "monetary"]})["news"]
    found = [(text[begin:end], KINDS[kind]) for begin, end, kind in zip(*map(list, documents[0].words), strict=True)]
    assert found == [
        ("NYSE", "acronyms"), ("IBM", "acronyms"), ("1,024.5", "numbers"), ("2019", "numbers"),
        ("disinflation", "rare terms"), ("disinflationary", "rare terms"),
    ]  # fmt: skip
    assert len(documents[1].words.kinds) == 0


def test_figures_by_hand() -> None:
    tokenizer = make_tokenizer(b"IBM", b" the", b"a of", b"unused")
    texts = {"news": ["IBM 12 the", "XY"], "web": ["a of é"], "empty": []}
    measured = measure(tokenizer, find_words(texts))
    assert measured.figures == {
        "vocabulary_size": tokenizer.get_vocab_size(),
        # IBM, space, 1, 2, " the"; X, Y; "a of", space, two bytes
        "sources": {
            "news": {"bytes": 12, "words": 4, "tokens": 7},
            "web": {"bytes": 7, "words": 3, "tokens": 4},
            "empty": {"bytes": 0, "words": 0, "tokens": 0},
        },
        "word_kinds": {
            "numbers": {"words": 1, "tokens": 2, "whole": 0},
            "acronyms": {"words": 2, "tokens": 3, "whole": 1},
            "rare terms": {"words": 0, "tokens": 0, "whole": 0},
        },
        # of all but <|endoftext|>: IBM, space, 1, 2, " the", X, Y, "a of" and the two bytes of é are used
        "unused_pieces": tokenizer.get_vocab_size() - 1 - 10,
        "multi_word_pieces": 2,  # "a o" and "a of"
    }


def test_samples_of_pieces() -> None:
    tokenizer = make_tokenizer(b"IBM", b" the", b"a of", b"unused")
    used = measure(tokenizer, find_words({"news": ["IBM unused a of"]})).used
    samples = piece_samples(tokenizer, used)
    assert samples["longest"][:3] == ["unused", "unuse", " the"]
    assert samples["multi_word"] == ["a of", "a o"]
    assert samples["unused"][:2] == ["unuse", " the"]
    assert all(len(pieces) <= 20 for pieces in samples.values())


def test_special_tokens_and_parts_of_characters_are_no_samples() -> None:
    tokenizer = make_tokenizer(b"\xe6\x97")
    samples = piece_samples(tokenizer, set())
    assert not any("\N{REPLACEMENT CHARACTER}" in piece or "endoftext" in piece for piece in samples["longest"])


def test_another_kind_of_tokenizer_is_measured_too() -> None:
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0, "IBM": 1, "rose": 2}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    figures = measure(tokenizer, find_words({"news": ["IBM rose 12."]})).figures
    assert figures["sources"]["news"] == {"bytes": 12, "words": 3, "tokens": 4}
    assert figures["word_kinds"]["acronyms"] == {"words": 1, "tokens": 1, "whole": 1}


def test_facts_are_added() -> None:
    one, other = TrainingFacts(1, 2, 3, 4, 5, 6, chunks=2), TrainingFacts(10, 20, 30, 40, 50, 60)
    assert one.add(other) == TrainingFacts(11, 22, 33, 44, 55, 66, chunks=2)
