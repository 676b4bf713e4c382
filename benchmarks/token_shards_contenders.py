"""One contender of the tokenizing benchmark: `token_shards_contenders.py NAME SMALL CORPUS TOKENIZER OUT`.

It prints {"seconds", "tokens"}: CPU seconds of the process and its children, imports and a first small corpus apart, so
that what is compiled or loaded once does not count; and the tokens written, without ends of text.
"""

import functools
import json
import resource
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from tokenizers import Tokenizer

Work = Callable[[Path, Path, Path], int]


def domainlm() -> Work:
    from data.shards.encode import encode_corpus

    def work(corpus: Path, tokenizer: Path, out: Path) -> int:
        manifest = encode_corpus(corpus, tokenizer, out, seed=0, workers=1)
        assert manifest
        shards = [source for sources in manifest.splits.values() for source in sources.values()]
        return sum(source.tokens - source.documents for source in shards)

    return work


def tokenizers() -> Work:
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


def ids_of_file(file: str, tokenizer: str) -> Iterator[Any]:
    """What litdata's writers call for each file: the ids of each document."""
    import torch

    engine = Tokenizer.from_file(tokenizer)
    for batch in pq.ParquetFile(file).iter_batches(256, columns=["text"]):
        for encoding in engine.encode_batch_fast(batch["text"].to_pylist(), add_special_tokens=False):
            yield torch.tensor([*encoding.ids, 0], dtype=torch.int32)


def litdata() -> Work:
    from litdata import TokensLoader, optimize

    def work(corpus: Path, tokenizer: Path, out: Path) -> int:
        encode = functools.partial(ids_of_file, tokenizer=str(tokenizer / "tokenizer.json"))
        files = [str(path) for path in sorted(corpus.rglob("*.parquet"))]
        optimize(
            fn=encode, inputs=files, output_dir=str(out), chunk_bytes="64MB", item_loader=TokensLoader(), num_workers=1
        )
        chunks = json.loads((out / "index.json").read_bytes())["chunks"]
        documents = sum(pq.read_metadata(path).num_rows for path in files)
        return sum(chunk["dim"] for chunk in chunks) - documents

    return work


def mosaicml() -> Work:
    from no_images import leave_out_torchvision

    leave_out_torchvision()
    from streaming import MDSWriter

    def work(corpus: Path, tokenizer: Path, out: Path) -> int:
        engine, count = Tokenizer.from_file(str(tokenizer / "tokenizer.json")), 0
        with MDSWriter(out=str(out), columns={"tokens": "ndarray:uint16"}) as writer:
            for path in sorted(corpus.rglob("*.parquet")):
                for batch in pq.ParquetFile(path).iter_batches(256, columns=["text"]):
                    for encoding in engine.encode_batch_fast(batch["text"].to_pylist(), add_special_tokens=False):
                        writer.write({"tokens": np.array([*encoding.ids, 0], np.uint16)})
                        count += len(encoding.ids)
        return count

    return work


def megatron() -> Work:
    import torch
    from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder

    def work(corpus: Path, tokenizer: Path, out: Path) -> int:
        engine, count = Tokenizer.from_file(str(tokenizer / "tokenizer.json")), 0
        out.mkdir(parents=True, exist_ok=True)
        builder = IndexedDatasetBuilder(str(out / "tokens.bin"), dtype=np.uint16)
        for path in sorted(corpus.rglob("*.parquet")):
            for batch in pq.ParquetFile(path).iter_batches(256, columns=["text"]):
                for encoding in engine.encode_batch_fast(batch["text"].to_pylist(), add_special_tokens=False):
                    builder.add_document(torch.tensor([*encoding.ids, 0]), [len(encoding.ids) + 1])
                    count += len(encoding.ids)
        builder.finalize(str(out / "tokens.idx"))
        return count

    return work


WORKS = {
    "domainlm": domainlm,
    "tokenizers": tokenizers,
    "datasets": datasets,
    "datatrove": datatrove,
    "litdata": litdata,
    "mosaicml": mosaicml,
    "megatron": megatron,
}


def cpu_seconds() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def main() -> None:
    name = sys.argv[1]
    small, corpus, tokenizer, out = map(Path, sys.argv[2:])
    work = WORKS[name]()
    work(small, tokenizer, out / "small")
    begin = cpu_seconds()
    tokens = work(corpus, tokenizer, out / "whole")
    print(json.dumps({"seconds": cpu_seconds() - begin, "tokens": tokens}))


if __name__ == "__main__":
    main()
