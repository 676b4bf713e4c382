"""Corpus to tokenizer: a byte-level BPE or Unigram learnt from the training split, or a given one, and a report."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from data.config import TokenizerConfig
from data.corpus_files import corpus_batches, corpus_files
from data.errors import DataError
from data.files import begin_stage, file_digest, finish_stage, is_finished, stage_digest, write_atomically
from data.progress import progress, say

FORMAT = 1
END_OF_TEXT = "<|endoftext|>"
TOKENIZER = "tokenizer.json"
REPORT = "report.json"
ROWS_PER_BATCH = 100
REPORT_BYTES = 1_000_000  # of each source
# A tokenizer that gives this back gives any text back: controls, several scripts, a combining mark, spaces, digits.
PROBE = "Zu\u0308rich, Z\u00fcrich  \u65e5\u672c \U0001f600\t1,024\n\n\x00 x "
# Unigram's trainer cuts pieces at 16 characters unless told otherwise, which would leave no pieces of several words.
LONGEST_PIECE = 64
PATTERNS = {
    # BloombergGPT (arXiv 2303.17564 §2.3): spaces lie inside the class of letters, each digit stands alone.
    "bloomberggpt": r"[ A-Za-z]+|[0-9]|[^A-Za-z0-9]+",
    # A word or a run of punctuation with the space before it, each digit alone, line ends, and other space.
    "words": r" ?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+|\n+|\s+(?!\S)|\s",
}


def build_tokenizer(config: TokenizerConfig, corpus: Path, folder: Path) -> dict[str, Any]:
    """Make folder/tokenizer.json and report.json, or recognise that they are there already.

    The vocabulary holds END_OF_TEXT, whose id is 0, and all 256 bytes, so that any text is encoded and given back.

    Returns:
        The report: kind, vocabulary size, the split of the sample and, for each source in it, bytes, tokens, words,
        bytes per token and tokens per word; the longest pieces and pieces of several words.

    Raises:
        DataError: the corpus is not finished, too small for the vocabulary, or a given tokenizer does not fit.
    """
    inputs = {"format": FORMAT, "corpus": stage_digest(corpus), **config.model_dump(mode="json")}
    given = _given_file(config.path) if config.path else None
    if given:
        inputs["path_digest"] = file_digest(given)
    if is_finished("tokenizer", folder, inputs):
        report: dict[str, Any] = json.loads((folder / REPORT).read_bytes())
        return report
    begin_stage(folder, [TOKENIZER, REPORT])
    tokenizer = _take(given, config.vocabulary_size) if given else _train(config, corpus)
    write_atomically(folder / TOKENIZER, tokenizer.to_str(pretty=True))
    report = _report(config, load_tokenizer(folder), corpus)
    write_atomically(folder / REPORT, json.dumps(report, indent=1, ensure_ascii=False))
    finish_stage(folder, inputs, [folder / TOKENIZER, folder / REPORT])
    return report


def load_tokenizer(folder: Path) -> Tokenizer:
    """Load folder/tokenizer.json; in text that is encoded with it, the characters of END_OF_TEXT are only characters.

    Raises:
        DataError: there is no tokenizer, or it cannot be read.
    """
    return _load(folder / TOKENIZER)


def _load(file: Path) -> Tokenizer:
    if not file.is_file():
        raise DataError(f"{file} does not exist: run `domainlm tokenize CONFIG` first")
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises bare Exceptions
        raise DataError(f"{file} is no tokenizer.json of Hugging Face tokenizers: {error}") from error
    # A document that quotes the mark must not end there.
    tokenizer.encode_special_tokens = True
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _given_file(path: str) -> Path:
    given = Path(path).expanduser()
    file = given / TOKENIZER if given.is_dir() else given
    if not file.is_file():
        raise DataError(f"{file} does not exist: correct tokenizer.path, or leave it out to train a tokenizer")
    return file


def _take(file: Path, vocabulary_size: int) -> Tokenizer:
    """A given tokenizer, if it can be used."""
    tokenizer = _load(file)
    end_of_text = tokenizer.token_to_id(END_OF_TEXT)
    if end_of_text != 0:
        raise DataError(
            f"{file}: the id of {END_OF_TEXT} must be 0, but it is {'absent' if end_of_text is None else end_of_text}: "
            "take a tokenizer that begins with it, or train one"
        )
    if tokenizer.decode(tokenizer.encode(PROBE).ids) != PROBE:
        raise DataError(f"{file} does not give every text back exactly: take a byte-level tokenizer, or train one")
    size = tokenizer.get_vocab_size()
    if size != vocabulary_size:
        raise DataError(f"{file} has {size:,} pieces: set tokenizer.vocabulary_size to {size}, not {vocabulary_size}")
    return tokenizer


def _train(config: TokenizerConfig, corpus: Path) -> Tokenizer:
    sizes = _bytes_by_source(corpus, "train")
    total = sum(sizes.values())
    fraction = min(1.0, (config.training_bytes or total) / total)
    say(f"tokenizer: learning {config.vocabulary_size:,} pieces ({config.kind}) from {total * fraction / 1e6:,.1f} MB")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    options: dict[str, Any] = {
        "vocab_size": config.vocabulary_size,
        "special_tokens": [END_OF_TEXT],
        "initial_alphabet": alphabet,
        "show_progress": sys.stderr.isatty(),
    }
    if config.kind == "bpe":
        tokenizer = Tokenizer(models.BPE())
        trainer: Any = trainers.BpeTrainer(**options)
    else:
        tokenizer = Tokenizer(models.Unigram())
        trainer = trainers.UnigramTrainer(max_piece_length=LONGEST_PIECE, **options)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERNS[config.pretokenization]), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    texts = (text for source in sizes for text in _sample(corpus_files(corpus, "train")[source], fraction))
    tokenizer.train_from_iterator(progress(texts, "reading for the tokenizer"), trainer)
    if config.kind == "unigram":
        tokenizer = _settle(tokenizer)
    learnt = tokenizer.get_vocab()
    assert all(byte in learnt for byte in alphabet)
    if len(learnt) != config.vocabulary_size:
        raise DataError(
            f"the training text yields {len(learnt):,} pieces, not {config.vocabulary_size:,}: add text, or set "
            f"tokenizer.vocabulary_size and model.vocabulary_size to {len(learnt)} or less"
        )
    return tokenizer


def _settle(tokenizer: Tokenizer) -> Tokenizer:
    """Make a trained Unigram the same in every run.

    Its trainer leaves to chance how the bytes that it has not seen follow one another, below all other pieces, and the
    last digits of the log-probabilities. Bytes below the least probable longer piece become as probable as that.
    """
    definition = json.loads(tokenizer.to_str())
    (end_of_text, *learnt) = definition["model"]["vocab"]
    lowest = min((score for piece, score in learnt if len(piece) > 1), default=0.0)
    settled = ([piece, round(max(score, lowest), 9)] for piece, score in learnt)
    definition["model"]["vocab"] = [end_of_text, *sorted(settled, key=lambda entry: (-entry[1], entry[0]))]
    return Tokenizer.from_str(json.dumps(definition))


def _bytes_by_source(corpus: Path, split: str) -> dict[str, int]:
    sources = json.loads((corpus / REPORT).read_bytes())["sources"]
    return {name: source["kept"][split]["bytes"] for name, source in sources.items() if split in source["kept"]}


def _sample(files: list[Path], fraction: float) -> Iterator[str]:
    """Documents from all over the files, about this fraction of its bytes but one at least; always the same ones."""
    passed = taken = 0
    for batch in corpus_batches(files, ["text"], ROWS_PER_BATCH):
        for text in batch["text"].to_pylist():
            size = len(text.encode())
            if taken <= fraction * passed:
                taken += size
                yield text
            passed += size


def _report(config: TokenizerConfig, tokenizer: Tokenizer, corpus: Path) -> dict[str, Any]:
    split = "past" if _bytes_by_source(corpus, "past") else "train"
    pieces = {tokenizer.decode([index]) for index in range(1, tokenizer.get_vocab_size())}
    readable = sorted(
        (piece for piece in pieces if "\N{REPLACEMENT CHARACTER}" not in piece), key=lambda p: (-len(p), p)
    )
    return {
        "kind": "given" if config.path else config.kind,
        "vocabulary_size": tokenizer.get_vocab_size(),
        "split": split,
        "sources": {
            source: _measure(tokenizer, _sample(corpus_files(corpus, split)[source], min(1.0, REPORT_BYTES / size)))
            for source, size in _bytes_by_source(corpus, split).items()
        },
        "longest_pieces": readable[:20],
        "multi_word_pieces": [piece for piece in readable if re.search(r"\w\s+\w", piece)][:20],
    }


def _measure(tokenizer: Tokenizer, texts: Iterator[str]) -> dict[str, float]:
    size = words = tokens = 0
    for text in texts:
        size += len(text.encode())
        words += len(text.split())
        tokens += len(tokenizer.encode(text).ids)
    return {
        "bytes": size,
        "words": words,
        "tokens": tokens,
        "bytes_per_token": round(size / tokens, 3),
        "tokens_per_word": round(tokens / words, 3),
    }
