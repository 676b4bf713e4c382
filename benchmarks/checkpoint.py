"""Saving a checkpoint: how long training stands still, and megabytes a second, beside torch.save and DeepSpeed's own.

    python benchmarks/checkpoint.py [--layers 8] [--width 512] [--repeats 5] [--folder /scratch] [--json]

One rank, ZeRO-1 in fp32, a real engine after one step. Every contender's files are synced to disk within its time, and
all of them save fp32 weights and both moments. Contenders take turns.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import torch

from benchmarks.harness import Row, compare, parser, show
from train.checkpoints import fragments, state
from train.config_file import load_config
from train.engine import engine
from train.engine.machine import name_accelerator
from train.process import find_rank, use_machine

CONFIG = Path(__file__).resolve().parent.parent / "configs" / "demo.yaml"


def sync(folder: Path) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)


def trained_engine(layers: int, width: int) -> engine.Engine:
    """An engine that has taken one step, so that it has moments to save."""
    settings = [f"model.layers={layers}", f"model.width={width}", "model.heads=8", "training.batch_size=4"]
    config = load_config(CONFIG, settings)
    rank = find_rank(os.environ)
    device = use_machine(rank)
    engine.connect(device)
    started = engine.build_engine(config, device, 1)
    engine.set_step(started, config.training, 1, 1e-3)
    tokens = torch.randint(config.model.vocabulary_size, (2, 64), device=device)
    engine.backward(started, started(tokens[:, :-1], tokens[:, 1:]))
    engine.apply_step(started, 1.0)
    return started


def main() -> None:
    options = parser("Saving a checkpoint, beside torch.save and DeepSpeed's own.")
    options.add_argument("--layers", type=int, default=8)
    options.add_argument("--width", type=int, default=512)
    options.add_argument("--folder", type=Path, help="where to write (default: the system's temporary folder)")
    chosen = options.parse_args()
    name_accelerator()
    started = trained_engine(chosen.layers, chosen.width)
    snapshot, stalls = state.Snapshot(), []

    def ours(folder: Path, copy: bool) -> None:
        begin = time.perf_counter()
        parts = snapshot.take(started) if copy else state.own_parts(started)
        if copy:
            stalls.append(time.perf_counter() - begin)
        fragments.write_rank(folder, 0, [part.fragment for part in parts], state.arrays(parts), 1)
        fragments.merge_records(folder, 1)

    def torch_save(folder: Path) -> None:
        folder.mkdir()
        state = {"module": started.module.state_dict(), "optimizer": started.optimizer.optimizer.state_dict()}
        torch.save(state, folder / "state.pt")
        sync(folder)

    def deepspeed_save(folder: Path) -> None:
        started.save_checkpoint(str(folder.parent), tag=folder.name, save_latest=False)
        sync(folder)

    contenders: dict[str, Callable[[Path], None]] = {
        "domainlm, written by a thread": lambda folder: ours(folder, copy=True),
        "domainlm, training.asynchronous_saves=false": lambda folder: ours(folder, copy=False),
        "torch.save": torch_save,
        "DeepSpeed save_checkpoint": deepspeed_save,
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    sizes: dict[str, int] = {}
    with tempfile.TemporaryDirectory(dir=chosen.folder) as place:
        for _ in range(chosen.repeats):
            for name, save in contenders.items():
                folder = Path(place) / "step"
                begin = time.perf_counter()
                save(folder)
                seconds[name].append(time.perf_counter() - begin)
                sizes[name] = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
                shutil.rmtree(folder)
    first, *others = contenders
    stood_still = [Row(first, tuple(stalls), "s training stands")]
    stood_still += [Row(name, tuple(seconds[name]), "s training stands") for name in others]
    size = state.bytes_to_save(started)
    show(f"one save of {size / 12e6:.1f} million parameters ({size / 1e6:.0f} MB)", compare(stood_still), chosen.json)
    if not chosen.json:
        rates = [Row(name, tuple(sizes[name] / 1e6 / s for s in seconds[name]), "MB/s to disk") for name in contenders]
        show("to the disk, synced", compare(rates), as_json=False)
        per_parameter = [Row(name, (12 * sizes[name] / size,), "bytes a parameter") for name in contenders]
        show("size", compare(per_parameter), as_json=False)
    engine.disconnect()


if __name__ == "__main__":
    main()
