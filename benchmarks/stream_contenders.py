"""One peer of the stream benchmark: `stream_contenders.py NAME FOLDER` prints its rate over the shards in FOLDER.

Each makes what its loader reads from the shards' tokens first, in FOLDER/NAME, and then delivers shuffled batches.
"""

import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

LENGTH, BATCH = 2048, 8
SECONDS = 3.0
VOCABULARY = 65_000
BLOCK = 1_000_000  # tokens

Batch = Callable[[int], Any]


def rate(batch: Batch) -> float:
    """Millions of tokens per CPU-second of `batch(number)`, each of BATCH rows."""
    for number in range(200):
        batch(number)
    begin, wall, number = time.process_time(), time.perf_counter(), 200
    while time.perf_counter() - wall < SECONDS:
        batch(number)
        number += 1
    return (number - 200) * BATCH * (LENGTH + 1) / (time.process_time() - begin) / 1e6


def token_files(folder: Path) -> list[Path]:
    return sorted((folder / "train").glob("*.bin"))


def nanoset(folder: Path, work: Path, shuffled: bool = False) -> Batch:
    """It shuffles files and reads each from its beginning, as it is meant to; or at random places, as ours."""
    import torch
    from datatrove.utils.dataset import DatatroveFolderDataset

    for file in token_files(folder):
        (work / f"{file.stem}.ds").symlink_to(file)
    data = DatatroveFolderDataset(str(work), seq_len=LENGTH, token_size=2, recursive=False, shuffle=True, seed=0)
    order = np.random.default_rng(0).permutation(len(data)).tolist() if shuffled else range(len(data))
    return lambda number: torch.stack(
        [data[order[(number * BATCH + row) % len(order)]]["input_ids"] for row in range(BATCH)]
    )


def blocks_of_file(file: str) -> Iterator[Any]:
    import torch

    tokens = torch.from_numpy(np.fromfile(file, "<u2").astype(np.int32))
    for start in range(0, len(tokens), BLOCK):
        yield tokens[start : start + BLOCK]


def litdata(folder: Path, work: Path) -> Batch:
    import torch
    from litdata import StreamingDataset, TokensLoader, optimize

    optimize(
        fn=blocks_of_file,
        inputs=[str(file) for file in token_files(folder)],
        output_dir=str(work),
        chunk_size=(LENGTH + 1) * 2048,
        item_loader=TokensLoader(),
        num_workers=1,
    )
    data = StreamingDataset(str(work), item_loader=TokensLoader(block_size=LENGTH + 1), shuffle=True, drop_last=False)
    rows = endless(data)
    return lambda _: torch.stack([next(rows) for _ in range(BATCH)]).long()


def endless(data: Any) -> Iterator[Any]:
    while True:
        yield from data


def mosaicml(folder: Path, work: Path) -> Batch:
    import torch
    from no_images import leave_out_torchvision

    leave_out_torchvision()
    from streaming import MDSWriter, StreamingDataset

    with MDSWriter(out=str(work / "mds"), columns={"tokens": "ndarray:uint16"}) as writer:
        for file in token_files(folder):
            tokens = np.fromfile(file, "<u2")
            for start in range(0, len(tokens) - LENGTH - 1, LENGTH):
                writer.write({"tokens": tokens[start : start + LENGTH + 1]})
    data = StreamingDataset(local=str(work / "mds"), shuffle=True, batch_size=BATCH)
    rows = endless(data)
    return lambda _: torch.from_numpy(np.stack([next(rows)["tokens"] for _ in range(BATCH)]).astype(np.int64))


def olmo(folder: Path, work: Path) -> Batch:
    import torch
    from olmo_core.data import DataCollator, NumpyDataLoaderBase, NumpyFSLDataset

    # its rows are of LENGTH + 1 tokens, so that all deliver the same
    length, common = LENGTH + 1, {"pad_token_id": 0, "eos_token_id": 0, "vocab_size": VOCABULARY}
    data = NumpyFSLDataset(*map(str, token_files(folder)), sequence_length=length, dtype=np.uint16, **common)
    data.work_dir = work
    data.prepare()
    loader = NumpyDataLoaderBase.wrap_numpy_dataset(
        data, global_batch_size=BATCH * length, work_dir=work, collator=DataCollator(pad_token_id=0), seed=0
    )

    def batches() -> Iterator[Any]:
        epoch = 0
        while True:
            epoch += 1
            loader.reshuffle(epoch=epoch)
            yield from loader
            loader.reset()

    following = batches()
    return lambda _: next(following)["input_ids"].to(torch.int64)


def megatron(folder: Path, work: Path) -> Batch:
    import torch
    from megatron.core.datasets.gpt_dataset import GPTDataset, GPTDatasetConfig
    from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder
    from megatron.core.datasets.utils import Split

    builder = IndexedDatasetBuilder(str(work / "tokens.bin"), dtype=np.uint16)
    for file in token_files(folder):
        tokens = np.fromfile(file, "<u2")
        for document in np.split(tokens, np.flatnonzero(tokens == 0) + 1):
            if len(document):
                builder.add_document(torch.from_numpy(document.astype(np.int32)), [len(document)])
    builder.finalize(str(work / "tokens.idx"))
    config = GPTDatasetConfig(
        random_seed=0,
        sequence_length=LENGTH,
        split="100,0,0",
        path_to_cache=str(work / "cache"),
        tokenizer=_Ends(),
        reset_position_ids=False,
        reset_attention_mask=False,
        eod_mask_loss=False,
        create_attention_mask=False,
    )
    indexed = GPTDataset.build_low_level_dataset(str(work / "tokens"), config)
    documents = np.arange(len(indexed.document_indices) - 1, dtype=np.int32)
    data = GPTDataset(indexed, str(work / "tokens"), documents, None, Split.train, config)
    count = len(data)

    def batch(number: int) -> Any:
        samples = [data[(number * BATCH + row) % count] for row in range(BATCH)]
        return torch.stack([torch.cat([one["tokens"], one["labels"][-1:]]) for one in samples])

    return batch


class _Ends:
    """What Megatron wants to know of a tokenizer."""

    eod = pad = 0
    vocab_size = VOCABULARY
    unique_identifiers: ClassVar[dict[str, str]] = {"class": "none"}


PEERS: dict[str, Callable[[Path, Path], Batch]] = {
    "datatrove-nanoset, rows as they lie in a file": nanoset,
    "datatrove-nanoset, shuffled rows": partial(nanoset, shuffled=True),
    "litdata": litdata,
    "mosaicml-streaming": mosaicml,
    "olmo-core": olmo,
    "megatron-core": megatron,
}


def main() -> None:
    name, folder = sys.argv[1], Path(sys.argv[2])
    work = folder / "".join(filter(str.isalnum, name))
    work.mkdir(exist_ok=True)
    print(rate(PEERS[name](folder, work)))


if __name__ == "__main__":
    main()
