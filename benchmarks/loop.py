"""The loop's own share of a step: everything but the model's forward and backward passes and the optimizer.

    python benchmarks/loop.py [--json]

One rank trains the demo's model. Bare steps (the passes over a batch that lies ready, and the update) and whole ones
(the stream, shares of the loss, norms by tensor, the all-reduce, spikes, records, the watchdog) take turns on the same
engine and the same batches, in CPU seconds of this process on one thread.
"""

import os
import tempfile
import time
from collections.abc import Callable

import torch
from harness import ROOT, Row, parser, show

from domainlm import stages
from train.config import RunConfig
from train.config_file import load_config
from train.earlier_steps import Past
from train.engine import engine
from train.gradient import micro_batches_of
from train.process import find_rank, use_machine
from train.records.journal import Journal
from train.records.metrics import Monitor
from train.run import Run
from train.schedule import learning_rate
from train.step import take_step
from train.stop import StopRequest
from train.token_stream import open_stream

STEPS_IN_A_TURN = 4


def open_run(config: RunConfig) -> Run:
    rank = find_rank(os.environ)
    device = use_machine(rank)
    engine.connect(device)
    return Run(
        config, rank, device, open_stream(config), engine.build_engine(config, device, 1), StopRequest(None),
        Past([], [], True), Monitor(config, {}, 0), Journal(config.run_folder),
    )  # fmt: skip


def bare(run: Run, step: int) -> Callable[[], None]:
    """The model's passes and the optimizer, with the batch at hand and the norm known."""
    training = run.config.training
    batches = [(batch.inputs, batch.targets) for batch in micro_batches_of(run, step)]

    def take() -> None:
        engine.set_step(run.engine, training, step, learning_rate(training, step))
        for inputs, targets in batches:
            engine.backward(run.engine, run.engine(inputs, targets))
        engine.apply_step(run.engine, 1.0)

    return take


def whole(run: Run, step: int) -> Callable[[], None]:
    """The step as the loop takes it, and a line of metrics."""

    def take() -> None:
        result = take_step(run, step)
        assert run.monitor is not None
        metrics = dict.fromkeys(("learning_rate", "tokens", "tokens_per_second", "mfu", "seconds"), 1.0)
        figures = {"loss": result.gradient.loss, "gradient_norm": result.gradient.norm}
        run.monitor.step({"step": step, **figures, **metrics}, run.config.training.steps, 1.0)

    return take


def seconds(steps: list[Callable[[], None]]) -> float:
    """CPU seconds of a step."""
    begin = time.process_time()
    for step in steps:
        step()
    return (time.process_time() - begin) / len(steps)


def measure(run: Run, turns: int) -> tuple[list[float], list[float]]:
    """Of each turn the share of the loop, in percent of the bare step, and the bare step's CPU milliseconds."""
    shares, passes = [], []
    for turn in range(turns + 2):
        numbers = range(turn * STEPS_IN_A_TURN + 1, (turn + 1) * STEPS_IN_A_TURN + 1)
        kinds = [[bare(run, number) for number in numbers], [whole(run, number) for number in numbers]]
        order = (0, 1) if turn % 2 else (1, 0)
        taken = {kind: seconds(kinds[kind]) for kind in order}
        if turn >= 2:  # the first ones warm up
            shares.append(100 * (taken[1] / taken[0] - 1))
            passes.append(1000 * taken[0])
    return shares, passes


def main() -> None:
    options = parser(__doc__ or "")
    options.set_defaults(repeats=20)
    arguments = options.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        settings = [f"folder={scratch}/run", "monitoring.wandb=false", "training.log_every=1000000"]
        config = load_config(ROOT / "configs" / "demo.yaml", [*settings, "training.steps=100000"])
        stages.prepare(config)
        stages.tokenize(config)
        shares, passes = measure(open_run(config), arguments.repeats)
        engine.disconnect()
    rows = [
        Row("the loop's own share of a step", tuple(shares), "% of it"),
        Row("forward, backward and optimizer alone", tuple(passes), "CPU-ms"),
    ]
    show("The loop beside the model's own work (the last column says nothing here)", rows, arguments.json)


if __name__ == "__main__":
    main()
