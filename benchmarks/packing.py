"""What packing into rows of 2,048 tokens pads, drops and cuts, and how fast it is, beside the packers that users have.

    python benchmarks/packing.py [--text FILES] [--json]

A document has a token for each word. Ours decides from the documents' lengths; OLMo-core looks for their ends in the
file of tokens, and TRL copies the tokens.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from harness import PEERS_PYTHON, Row, compare, parser, read_texts, show

LENGTH = 2048

Packed = dict[str, Any]
"""rows, tokens that are in them, and documents of at most LENGTH tokens that lie in more than one row"""


def ours(folder: Path, policy: str) -> Packed:
    from data.shards.best_fit import best_fit

    lengths = np.load(folder / "lengths.npy")
    if policy == "best_fit":
        rows = best_fit(lengths, LENGTH)
        return {"rows": len(rows.offsets) - 1, "tokens": int(np.abs(rows.tokens).sum()), "cut": 0}
    ends = np.cumsum(lengths)
    cut = ((ends - lengths) // LENGTH != (ends - 1) // LENGTH) & (lengths <= LENGTH)
    return {"rows": -(-int(ends[-1]) // LENGTH), "tokens": int(ends[-1]), "cut": int(cut.sum())}


def olmo(folder: Path, strategy: str) -> Packed:
    from olmo_core.data.types import LongDocStrategy
    from olmo_core.data.utils import pack_documents_into_instances

    instances, _, tokens = pack_documents_into_instances(
        folder / "tokens.bin",
        max_sequence_length=LENGTH,
        eos_token_id=0,
        dtype=np.uint16,
        long_doc_strategy=LongDocStrategy(strategy),
    )
    return {"rows": len(instances), "tokens": int(tokens), "cut": 0}


def trl(folder: Path, strategy: str) -> Packed:
    import pyarrow as pa
    from datasets import Dataset, disable_progress_bars
    from trl import pack_dataset

    disable_progress_bars()
    ends = np.concatenate([[0], np.cumsum(np.load(folder / "lengths.npy"))]).astype(np.int32)
    tokens = pa.array(np.fromfile(folder / "tokens.bin", "<u2").astype(np.int32))
    data = Dataset(pa.table({"input_ids": pa.ListArray.from_arrays(ends, tokens)}))
    packed = pack_dataset(data, LENGTH, strategy).with_format("arrow")[:]["input_ids"]
    return {"rows": len(packed), "tokens": len(pa.compute.list_flatten(packed)), "cut": 0}


PACKERS: dict[str, tuple[Callable[[Path, str], Packed], str]] = {
    "domainlm, best fit": (ours, "best_fit"),
    "concatenated and cut, as most do": (ours, "concatenate"),
    "OLMo-core, truncate (its default)": (olmo, "truncate"),
    "OLMo-core, fragment": (olmo, "fragment"),
    "TRL, bfd (its default)": (trl, "bfd"),
    "TRL, bfd_split": (trl, "bfd_split"),
}


def measured(name: str, folder: Path) -> Packed | None:
    """Of one packer in a process of its own; None, and why, where it cannot run."""
    python = sys.executable if PACKERS[name][0] is ours else PEERS_PYTHON
    done = subprocess.run([python, __file__, name, folder], capture_output=True, text=True, timeout=1800)
    if done.returncode:
        print(f"{name}: not measured: {(done.stderr.strip().splitlines() or ['?'])[-1]}", file=sys.stderr)
        return None
    result: Packed = json.loads(done.stdout.splitlines()[-1])
    return result


def in_process(name: str, folder: Path) -> None:
    pack, strategy = PACKERS[name]
    pack(folder / "few", strategy)  # what it imports and compiles is not its speed
    begin = time.process_time()
    packed = pack(folder, strategy)
    print(json.dumps(packed | {"seconds": time.process_time() - begin}))


def write_documents(folder: Path, lengths: "np.ndarray[Any, np.dtype[np.int64]]") -> None:
    folder.mkdir(exist_ok=True)
    tokens = np.ones(int(lengths.sum()), "<u2")
    tokens[np.cumsum(lengths) - 1] = 0
    tokens.tofile(folder / "tokens.bin")
    np.save(folder / "lengths.npy", lengths)


def main() -> None:
    if sys.argv[1:] and sys.argv[1] in PACKERS:
        in_process(sys.argv[1], Path(sys.argv[2]))
        return
    options = parser(str(__doc__).splitlines()[0])
    options.add_argument("--tokens", type=int, default=20_000_000)
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lengths = np.array([len(text.split()) + 1 for text in read_texts(arguments.text)])
        lengths = np.tile(lengths, max(1, arguments.tokens // int(lengths.sum())))
        write_documents(folder, lengths)
        write_documents(folder / "few", lengths[:100])
        rounds = [{packer: measured(packer, folder) for packer in PACKERS} for _ in range(arguments.repeats)]
    total, fitting = int(lengths.sum()), int((lengths <= LENGTH).sum())
    figures: dict[tuple[str, str], Callable[[Packed], float]] = {
        ("padding", "% of rows"): lambda packed: 100 * (1 - packed["tokens"] / packed["rows"] / LENGTH),
        ("dropped", "% of tokens"): lambda packed: 100 * (1 - packed["tokens"] / total),
        ("cut though they fit", "% of documents"): lambda packed: 100 * packed["cut"] / fitting,
        ("speed", "M tokens/CPU-s"): lambda packed: total / packed["seconds"] / 1e6,
    }
    for (what, unit), figure in figures.items():
        found = {packer: [packed for of_round in rounds if (packed := of_round[packer])] for packer in PACKERS}
        rows = [Row(packer, tuple(map(figure, packed)), unit) for packer, packed in found.items() if packed]
        show(f"{what}, {len(lengths):,} documents of {total:,} tokens", compare(rows), arguments.json)


if __name__ == "__main__":
    main()
