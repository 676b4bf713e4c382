"""Tokenizer training: speed, peak memory and what is learnt, ours beside the trainers of `tokenizers`.

Both learn from the same corpus on disk, at each size of text that is asked for; what they learnt is the number of
tokens of text that neither has seen. `tokenizers`' Unigram grows much faster than its text: it has a limit of its own.
"""

import json
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from tokenizers import Tokenizer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.harness import PEERS_PYTHON, Row, compare, measure, parser, read_texts, show
from data.corpus.files import CORPUS_COLUMNS, CORPUS_SCHEMA
from data.files import finish_stage, write_atomically

CONTENDERS = ("domainlm", "tokenizers")
KINDS = ("bpe", "unigram")
PART_BYTES, ROW_GROUP_BYTES = 64_000_000, 4_000_000
HELD_OUT = 50  # one document of so many
HELD_OUT_BYTES = 2_000_000


def blocks(texts: Iterable[str], bytes_of_block: int) -> Iterator[list[str]]:
    """Texts gathered until they have so many bytes."""
    block: list[str] = []
    size = 0
    for text in texts:
        block.append(text)
        size += len(text.encode())
        if size >= bytes_of_block:
            yield block
            block, size = [], 0
    if block:
        yield block


def write_corpus(texts: Iterable[str], folder: Path, most_bytes: int) -> int:
    """Make a corpus of so many bytes of training text and a little held-out text; returns the bytes for training."""
    train = held_out = 0

    def training_texts(everything: Iterable[str]) -> Iterator[str]:
        nonlocal train, held_out
        for number, text in enumerate(everything):
            size = len(text.encode())
            if number % HELD_OUT == 0:
                if held_out < HELD_OUT_BYTES:
                    held_out += size
                    held_out_texts.append(text)
            elif train < most_bytes:
                train += size
                yield text
            else:
                return

    held_out_texts: list[str] = []
    parts = [
        write_part(part, folder / f"train/text/{number:05d}.parquet")
        for number, part in enumerate(blocks(training_texts(texts), PART_BYTES))
    ]
    parts.append(write_part(held_out_texts, folder / "past/text/00000.parquet"))
    kept = {"train": {"bytes": train}, "past": {"bytes": held_out}}
    write_atomically(folder / "report.json", json.dumps({"sources": {"text": {"kept": kept}}}))
    finish_stage(folder, {}, [*parts, folder / "report.json"])
    return train


def write_part(texts: Iterable[str], file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(file, CORPUS_SCHEMA, compression="zstd") as writer:
        for block in blocks(texts, ROW_GROUP_BYTES):
            columns = {name: pa.nulls(len(block), kind) for name, kind in CORPUS_COLUMNS.items()}
            columns |= {"text": pa.array(block, pa.string()), "source": pa.array(["text"] * len(block))}
            writer.write_table(pa.table(columns, CORPUS_SCHEMA))
    return file


def held_out_tokens(corpus: Path, file: Path) -> float:
    texts = pq.read_table(corpus / "past", columns=["text"])["text"].to_pylist()
    return float(sum(len(encoding.ids) for encoding in Tokenizer.from_file(str(file)).encode_batch(texts)))


def rows_of(name: str, corpus: Path, megabytes: float, training: list[str], repeats: int) -> dict[str, Row]:
    """The figures of one contender on one corpus."""
    python = sys.executable if name == "domainlm" else PEERS_PYTHON
    rates, walls, peaks, tokens = [], [], [], []
    for _ in range(repeats):
        file = corpus / "tokenizer.json"
        usage = measure([python, "benchmarks/tokenizer_training_contenders.py", name, corpus, file, *training])
        rates.append(megabytes / usage.cpu_seconds)
        walls.append(usage.wall_seconds)
        peaks.append(usage.peak_bytes / 1e6)
        tokens.append(held_out_tokens(corpus, file))
    label = f"{name}, {megabytes:.0f} MB"
    return {
        "rate": Row(label, tuple(rates), "MB per CPU-s"),
        "wall": Row(f"{label}: time", tuple(walls), "s"),
        "peak": Row(f"{label}: peak memory", tuple(peaks), "MB"),
        "tokens": Row(f"{label}: held-out text", tuple(tokens), "tokens"),
    }


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--megabytes", type=float, nargs="+", default=[10.0], help="sizes of the training text")
    options.add_argument("--kind", choices=KINDS, default="bpe")
    options.add_argument("--pretokenization", choices=("words", "bloomberggpt"), default="words")
    options.add_argument("--vocabulary-size", type=int, default=32_768)
    options.add_argument("--contenders", nargs="+", default=CONTENDERS, choices=CONTENDERS)
    options.add_argument("--peer-megabytes", type=float, default=1e9, help="more text than this is ours alone")
    arguments = options.parse_args()
    training = [arguments.kind, arguments.pretokenization, str(arguments.vocabulary_size)]
    rows: list[Row] = []
    for size in arguments.megabytes:
        with tempfile.TemporaryDirectory() as folder:
            megabytes = write_corpus(read_texts(arguments.text), Path(folder), int(size * 1e6)) / 1e6
            names = [name for name in arguments.contenders if name == "domainlm" or size <= arguments.peer_megabytes]
            found = [rows_of(name, Path(folder), megabytes, training, arguments.repeats) for name in names]
        rows += [row for kind in found[0] for row in compare([contender[kind] for contender in found])]
    show(f"tokenizer training: {', '.join(training)}", rows, arguments.json)


if __name__ == "__main__":
    main()
