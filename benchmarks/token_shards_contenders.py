"""One contender of the tokenizing benchmark: `token_shards_contenders.py NAME SMALL CORPUS TOKENIZER OUT`.

It prints {"seconds", "tokens"}: CPU seconds of the process and its children, imports and a first small corpus apart, so
that what is compiled or loaded once does not count; and the tokens written, without ends of text.
"""

import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

Work = Callable[[Path, Path, Path], int]


def domainlm() -> Work:
    from data.encode import encode_corpus

    def work(corpus: Path, tokenizer: Path, out: Path) -> int:
        manifest = encode_corpus(corpus, tokenizer, out, seed=0, workers=1)
        assert manifest
        shards = [source for sources in manifest.splits.values() for source in sources.values()]
        return sum(source.tokens - source.documents for source in shards)

    return work


def tokenizers() -> Work:
    from tokenizers import Tokenizer

    def work(corpus: Path, tokenizer: Path, out: Path) -> int:
        engine, count = Tokenizer.from_file(str(tokenizer / "tokenizer.json")), 0
        out.mkdir(parents=True, exist_ok=True)
        with (out / "tokens.bin").open("wb") as file:
            for path in sorted(corpus.rglob("*.parquet")):
                for batch in pq.ParquetFile(path).iter_batches(256, columns=["text"]):
                    for encoding in engine.encode_batch_fast(batch["text"].to_pylist(), add_special_tokens=False):
                        file.write(np.array([*encoding.ids, 0], np.uint16).tobytes())
                        count += len(encoding.ids)
        return count

    return work


def datasets() -> Work:
    from datasets import disable_caching, load_dataset
    from tokenizers import Tokenizer

    disable_caching()

    def work(corpus: Path, tokenizer: Path, out: Path) -> int:
        engine = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))

        def encode(rows: dict[str, list[str]]) -> dict[str, list[list[int]]]:
            found = engine.encode_batch_fast(rows["text"], add_special_tokens=False)
            return {"ids": [encoding.ids for encoding in found]}

        files = [str(path) for path in sorted(corpus.rglob("*.parquet"))]
        rows = load_dataset("parquet", data_files=files, split="train", cache_dir=str(out / "cache"))
        encoded = rows.map(encode, batched=True, remove_columns=rows.column_names)
        encoded.save_to_disk(str(out / "saved"))
        return sum(map(len, encoded["ids"]))

    return work


def datatrove() -> Work:
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.readers import ParquetReader
    from datatrove.pipeline.tokens import DocumentTokenizer

    def work(corpus: Path, tokenizer: Path, out: Path) -> int:
        steps = [
            ParquetReader(str(corpus), text_key="text", glob_pattern="**/*.parquet"),
            DocumentTokenizer(
                str(out / "tokens"), tokenizer_name_or_path=str(tokenizer / "tokenizer.json"), eos_token="<|endoftext|>"
            ),
        ]
        LocalPipelineExecutor(pipeline=steps, tasks=1, workers=1, logging_dir=str(out / "logs")).run()
        sizes = [path.stat().st_size for path in (out / "tokens").glob("*.ds")]
        documents = sum(pq.read_metadata(path).num_rows for path in corpus.rglob("*.parquet"))
        return sum(sizes) // 2 - documents

    return work


def cpu_seconds() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def main() -> None:
    name = sys.argv[1]
    small, corpus, tokenizer, out = map(Path, sys.argv[2:])
    work = {"domainlm": domainlm, "tokenizers": tokenizers, "datasets": datasets, "datatrove": datatrove}[name]()
    work(small, tokenizer, out / "small")
    begin = cpu_seconds()
    tokens = work(corpus, tokenizer, out / "whole")
    print(json.dumps({"seconds": cpu_seconds() - begin, "tokens": tokens}))


if __name__ == "__main__":
    main()
