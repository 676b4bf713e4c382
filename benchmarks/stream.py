"""Tokens per CPU-second that the stream delivers as (batch, 2,049) int64, beside the loaders that users have.

    python benchmarks/stream.py [--text FILES] [--json]      ours and the peers that .venv-benchmarks has
    python benchmarks/stream.py --huge                        to begin at step 0 and at step 10,000,000 of 10^12 tokens

Every contender delivers the same shards' tokens, warm in the page cache, shuffled; ours also mixes, packs and numbers
documents. CPU seconds are those of the delivering process, imports and opening apart.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from harness import PEERS_PYTHON, ROOT, Row, compare, parser, read_texts, show
from stream_contenders import BATCH, LENGTH, PEERS, VOCABULARY, rate


def make_shards(folder: Path, texts: list[str], tokens: int) -> None:
    """Two packed sources; a document has a token for each word and the text's length, repeated up to `tokens`."""
    from data.shards.format import EncodedDocument, Manifest, write_manifest, write_source
    from data.shards.packing import pack_shards

    chance = np.random.default_rng(0)
    lengths = [len(text.split()) for text in texts]
    sources = {}
    for number, source in enumerate(("domain", "general")):
        mine = lengths[number::2]
        repeats = max(1, tokens // 2 // sum(mine))
        documents = (
            EncodedDocument(str(place), None, chance.integers(1, VOCABULARY, length), 4 * length)
            for place, length in enumerate(mine * repeats)
        )
        sources[source] = write_source(folder, "train", source, documents, "uint16", 20_000_000)
    write_manifest(folder, Manifest("uint16", VOCABULARY, "none", "none", 0, 20_000_000, {"train": sources}))
    for policy in ("best_fit", "concatenate"):
        pack_shards(folder, policy, LENGTH)  # type: ignore[arg-type]


def ours(folder: Path, policy: str) -> float:
    from data.stream.stream import TokenStream

    stream = TokenStream(folder, {"domain": 0.3, "general": 0.7}, LENGTH, 0, policy=policy)
    return rate(lambda number: stream.batch(number * BATCH, BATCH))


def mapped_gather(folder: Path) -> float:
    """The least that any loader does: rows of one mapped file at random places, widened to int64."""
    tokens = np.memmap(sorted(folder.glob("train/*.bin"))[0], dtype="<u2", mode="r")
    first = np.random.default_rng(0).integers(0, len(tokens) - LENGTH - 1, 1_000_000).reshape(-1, BATCH)
    span = np.arange(LENGTH + 1)
    return rate(lambda number: tokens[first[number % len(first), :, None] + span].astype(np.int64))


def peer(name: str, folder: Path) -> float | None:
    """A peer's rate in its own environment; None, and why, where it cannot run there."""
    program = Path(__file__).parent / "stream_contenders.py"
    with tempfile.TemporaryDirectory() as name_of_work:
        inputs = Path(name_of_work)
        (inputs / "train").symlink_to(folder / "train")
        done = subprocess.run([PEERS_PYTHON, program, name, inputs], capture_output=True, text=True, timeout=900)
    if done.returncode:
        print(f"{name}: not measured: {(done.stderr.strip().splitlines() or ['?'])[-1]}", file=sys.stderr)
        return None
    return float(done.stdout.split()[-1])


def make_huge(folder: Path, files: int = 10_000, file_tokens: int = 100_000_000) -> None:
    """Manifests of 10^12 tokens in four sources over sparse files: two files that hold rows stand for all."""
    from data.files import value_digest
    from data.shards.best_fit import best_fit
    from data.shards.format import FORMAT as SHARDS_FORMAT
    from data.shards.packing import FORMAT as PACKING_FORMAT

    lengths = np.full(file_tokens // 1000, 1000)
    rows = best_fit(lengths, LENGTH)
    count = len(rows.offsets) - 1
    (folder / "packed/best_fit-2048/train").mkdir(parents=True)
    (folder / "train").mkdir()
    (folder / "one.rows").write_bytes(
        rows.offsets.astype("<i4").tobytes() + np.stack([rows.first, rows.tokens], 1).astype("<i4").tobytes()
    )
    with (folder / "one.bin").open("wb") as file:
        file.truncate(2 * file_tokens)
    shards: dict[str, Any] = {}
    packed: dict[str, Any] = {}
    for source, each in (("a", files // 2), ("b", files // 4), ("c", files // 8), ("d", files // 8)):
        names = [f"train/{source}-{number:05d}" for number in range(each)]
        for name in names:
            (folder / f"{name}.bin").symlink_to(folder / "one.bin")
            (folder / f"packed/best_fit-2048/{name}.rows").symlink_to(folder / "one.rows")
        digest = "0" * 32
        shards[source] = {"files": [
            {"name": name, "tokens": file_tokens, "documents": len(lengths), "bytes": 4 * file_tokens,
             "tokens_size": 2 * file_tokens, "tokens_digest": digest, "documents_size": 1, "documents_digest": digest}
            for name in names
        ]}  # fmt: skip
        packed[source] = {
            "tokens": [file_tokens] * each, "documents": [len(lengths)] * each, "rows": [count] * each,
            "padding": [0] * each, "cut_documents": [0] * each, "cut_needlessly": [0] * each,
            "token_digests": [digest] * each, "row_digests": [digest] * each,
        }  # fmt: skip
    common = {"dtype": "uint16", "vocabulary_size": VOCABULARY, "end_of_text": 0}
    manifest = common | {"tokenizer_digest": "", "corpus_digest": "", "seed": 0, "bytes_per_shard": 4 * file_tokens,
                         "splits": {"train": shards}, "format": SHARDS_FORMAT}  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest | {"digest": value_digest(manifest)}))
    packing = common | {"format": PACKING_FORMAT, "policy": "best_fit", "sequence_length": LENGTH,
                        "shards_digest": value_digest(manifest), "sources": packed}  # fmt: skip
    target = folder / "packed/best_fit-2048/manifest.json"
    target.write_text(json.dumps(packing | {"digest": value_digest(packing)}))


HUGE = """
import sys, time
begin = time.perf_counter()
from pathlib import Path
from data.stream.stream import TokenStream
imported = time.perf_counter()
stream = TokenStream(Path(sys.argv[1]), None, 2048, 0)
opened, cpu = time.perf_counter(), time.process_time()
start = int(sys.argv[2]) * 2048
stream.batch(start, 8)
first, cpu = time.perf_counter(), time.process_time() - cpu
status = Path("/proc/self/status").read_text()
peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024  # ru_maxrss would be that of the process that forked
def cost(firsts):
    begin = time.process_time()
    for number in firsts:
        stream.batch(number, 8)
    return (time.process_time() - begin) / len(firsts) * 1e3
follow, jump = cost(range(start, start + 4000, 8)), cost(range(start, start + 200 * 2**20, 2**20))
print(imported - begin, first - imported, (first - opened) * 1e3, cpu * 1e3, jump, follow, peak)
"""
HUGE_FIGURES = (
    ("import of the stream", "s"), ("open and first batch", "s"), ("first batch", "ms"), ("first batch", "CPU ms"),
    ("a batch of 8 after a jump", "CPU ms"), ("a batch of 8 that follows", "CPU ms"), ("memory of the process", "MiB"),
)  # fmt: skip


def huge(as_json: bool, repeats: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        make_huge(Path(name))
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}

        def begin_at(step: int) -> list[float]:
            command = [sys.executable, "-c", HUGE, name, str(step)]
            done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
            return list(map(float, done.stdout.split()))

        steps = (0, 10_000_000)
        runs = {step: [begin_at(step) for _ in range(repeats)] for step in steps}
    rows = [
        Row(f"{what}, step {step:,}", tuple(run[place] for run in runs[step]), unit)
        for place, (what, unit) in enumerate(HUGE_FIGURES)
        for step in steps
    ]
    show("10^12 tokens in 10,000 shards, in a process that begins at the step", rows, as_json)


def main() -> None:
    options = parser(str(__doc__).splitlines()[0])
    options.add_argument("--tokens", type=int, default=40_000_000)
    options.add_argument("--huge", action="store_true", help="measure a manifest of 10^12 tokens instead")
    arguments: argparse.Namespace = options.parse_args()
    if arguments.huge:
        huge(arguments.json, arguments.repeats)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_shards(folder, list(read_texts(arguments.text)), arguments.tokens)
        measured: dict[str, Callable[[], float | None]] = {
            "domainlm, best-fit rows, mixed": lambda: ours(folder, "best_fit"),
            "domainlm, concatenated rows, mixed": lambda: ours(folder, "concatenate"),
            "numpy gather from one mapped file": lambda: mapped_gather(folder),
            **{peer_name: lambda peer_name=peer_name: peer(peer_name, folder) for peer_name in PEERS},  # type: ignore[misc]
        }
        rounds = [{what: measure() for what, measure in measured.items()} for _ in range(arguments.repeats)]
        values = {what: [found[what] for found in rounds] for what in measured}
    rows = [Row(what, tuple(v for v in found if v), "M tokens/CPU-s") for what, found in values.items() if all(found)]
    show("Tokens delivered as (8, 2049) int64", compare(rows), arguments.json)


if __name__ == "__main__":
    main()
