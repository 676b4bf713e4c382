"""One contender of the tokenizer benchmark, `NAME CORPUS FILE KIND PRETOKENIZATION SIZE`.

It learns from a corpus and writes FILE, a tokenizer.json. Both know the 256 bytes and the end of text, cut text by the
same pattern, and have pieces of up to 64 bytes.
"""

import shutil
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


def domainlm(corpus: Path, file: Path, kind: str, pretokenization: str, size: int) -> None:
    from data.config import TokenizerConfig
    from data.tokenizer.build import TOKENIZER, build_tokenizer

    settings = {"kind": kind, "pretokenization": pretokenization, "vocabulary_size": size, "training_bytes": None}
    with tempfile.TemporaryDirectory() as folder:
        build_tokenizer(TokenizerConfig.model_validate(settings), corpus, Path(folder))
        shutil.copyfile(Path(folder, TOKENIZER), file)


def tokenizers(corpus: Path, file: Path, kind: str, pretokenization: str, size: int) -> None:
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
    tokenizer.train_from_iterator(read(corpus), trainer)
    tokenizer.save(str(file))


def read(corpus: Path) -> Iterator[str]:
    for file in sorted((corpus / "train").rglob("*.parquet")):
        for batch in pq.ParquetFile(file).iter_batches(1_000, columns=["text"]):
            yield from batch["text"].to_pylist()


def main() -> None:
    name, corpus, file, kind, pretokenization, size = sys.argv[1:]
    train = {"domainlm": domainlm, "tokenizers": tokenizers}[name]
    train(Path(corpus), Path(file), kind, pretokenization, int(size))


if __name__ == "__main__":
    main()
