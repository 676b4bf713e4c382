"""One contender of the tokenizer benchmark: `contender.py NAME CORPUS KIND PRETOKENIZATION SIZE` learns from a corpus.

It prints {"tokens"}: how many tokens the corpus's held-out text becomes. Both know the 256 bytes and the end of text,
cut text by the same pattern, and have pieces of up to 64 bytes.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

LONGEST_PIECE = 64
PATTERNS = {
    "words": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+",
    "bloomberggpt": r"[ A-Za-z]+|[0-9]|[^A-Za-z0-9]+",
}


def domainlm(corpus: Path, kind: str, pretokenization: str, size: int) -> Tokenizer:
    from data.config import TokenizerConfig
    from data.tokenizer import build_tokenizer, load_tokenizer

    settings = {"kind": kind, "pretokenization": pretokenization, "vocabulary_size": size, "training_bytes": None}
    with tempfile.TemporaryDirectory() as folder:
        build_tokenizer(TokenizerConfig.model_validate(settings), corpus, Path(folder))
        return load_tokenizer(Path(folder))


def tokenizers(corpus: Path, kind: str, pretokenization: str, size: int) -> Tokenizer:
    options = {
        "vocab_size": size,
        "special_tokens": ["<|endoftext|>"],
        "initial_alphabet": sorted(pre_tokenizers.ByteLevel.alphabet()),
        "show_progress": False,
    }
    if kind == "bpe":
        tokenizer = Tokenizer(models.BPE())
        trainer = trainers.BpeTrainer(max_token_length=LONGEST_PIECE + 1, **options)
    else:
        tokenizer = Tokenizer(models.Unigram())
        trainer = trainers.UnigramTrainer(max_piece_length=LONGEST_PIECE, **options)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERNS[pretokenization]), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.train_from_iterator(read(corpus, "train"), trainer)
    return tokenizer


def read(corpus: Path, split: str) -> Iterator[str]:
    for file in sorted((corpus / split).rglob("*.parquet")):
        for batch in pq.ParquetFile(file).iter_batches(1_000, columns=["text"]):
            yield from batch["text"].to_pylist()


def main() -> None:
    name, corpus, kind, pretokenization, size = sys.argv[1:]
    train = {"domainlm": domainlm, "tokenizers": tokenizers}[name]
    tokenizer = train(Path(corpus), kind, pretokenization, int(size))
    print(json.dumps({"tokens": sum(len(tokenizer.encode(text).ids) for text in read(Path(corpus), "past"))}))


if __name__ == "__main__":
    main()
