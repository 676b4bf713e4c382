"""What happens before the first step: the run's folder is taken, its surroundings written down and said."""

import json
import platform
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import psutil
import torch

from data.files import write_atomically
from data.progress import say
from data.shards.format import read_manifest
from data.stream.stream import TokenStream
from model.sizes import parameter_count
from train import diagnostics
from train.checkpoints.folders import Checkpoint, discard_done_after, discard_partial, misnamed_folders
from train.checkpoints.retention import why_no_best
from train.config import RunConfig, to_yaml
from train.config_file import differences
from train.earlier_steps import Past, read_examined, read_history, read_skips
from train.engine import engine
from train.engine.initial_weights import texts_read_before
from train.engine.layout import trained_parameters
from train.engine.optimizer import describe_groups
from train.held_out import is_due
from train.process import Rank
from train.ranks import of_first_rank
from train.rates.carry_over import carry_over
from train.records.journal import RESUME, START, Journal, read_journal
from train.records.metrics import Monitor, drop_lines_after
from train.records.text_read import BEGUN, check_held_out
from train.schedule import consumed_samples
from train.stop import StopRequest

SURROUNDINGS = {
    "ranks": "number of ranks",
    "threads": "number of threads",
    "device": "device",
    "instructions": "set of the CPU's instructions",
    "versions.torch": "torch",
    "versions.deepspeed": "DeepSpeed",
    "versions.numpy": "numpy",
}
"""On what, beside documents, configuration and seed, the last digits of a step depend."""


def surroundings(rank: Rank, device: torch.device) -> dict[str, Any]:
    """What this process computes with. Of threads and instructions a GPU's figures do not depend."""
    on_cpu = {
        "device": platform.machine(),
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }
    return {
        "versions": {name: version(name) for name in ("torch", "deepspeed", "tokenizers", "numpy")}
        | {"python": platform.python_version()},
        "host": platform.node(),
        "ranks": rank.world_size,
        **(on_cpu if device.type == "cpu" else {"device": torch.cuda.get_device_name(device)}),
    }


def changed_surroundings(events: Iterable[Mapping[str, Any]], now: Mapping[str, Any]) -> list[str]:
    """A line for each thing in the surroundings that is another one than in the run's last session."""
    sessions = [event for event in events if event["event"] in (START, RESUME)]
    changed = differences({key: sessions[-1][key] for key in now if key in sessions[-1]}, dict(now)) if sessions else {}
    return [
        f"resuming with another {SURROUNDINGS[key]}: was {was}, now {is_now}; from here on the last digits of losses "
        "and weights may differ from those of a run that was not interrupted"
        for key, (was, is_now) in changed.items()
        if key in SURROUNDINGS and None not in (was, is_now)
    ]


@contextmanager
def open_records(
    config: RunConfig, rank: Rank, device: torch.device, found: Checkpoint | None
) -> Iterator[tuple[Monitor | None, Journal | None]]:
    """Rank 0's monitor and journal, and environment.json beside their files; nothing on the other ranks.

    What the files say about steps after the checkpoint that is gone on from, which will be run again, is removed.
    """
    first_step = found.step if found else 0
    if not rank.is_first:
        yield None, None
        return
    environment = surroundings(rank, device)
    for line in changed_surroundings(read_journal(config.run_folder), environment) if found else []:
        say(line)
    write_atomically(config.run_folder / "environment.json", json.dumps(environment, indent=1))
    drop_lines_after(config.run_folder / diagnostics.FILE, first_step)
    with Journal(config.run_folder) as journal, Monitor(config, environment, first_step) as monitor:
        dropped = monitor.dropped
        journal.event(
            RESUME if first_step else START,
            step=first_step,
            digest=found.digest if found else None,
            began=psutil.Process().create_time(),
            steps_repeated=dropped.steps,
            seconds_repeated=dropped.seconds,
            last_written=dropped.last_written,
            **environment,
        )
        yield monitor, journal


def recall(config: RunConfig, rank: Rank, first_step: int, stop: StopRequest) -> Past:
    """What the run's files say about the steps up to `first_step`: rank 0 reads them and tells the others."""
    found: Past | None = None
    if rank.is_first:
        events = read_journal(config.run_folder)
        lines = [json.loads(line) for line in config.metrics.read_bytes().splitlines()]
        for event in events:
            if event["event"] == "save":
                stop.took("save", event.get("seconds", 0.0))
        evaluated = any("evaluation" in line and line["step"] == first_step for line in lines)
        found = Past(
            read_history(lines, first_step, config.training.spikes.window),
            read_skips(events),
            evaluated or not is_due(config, first_step),
            read_examined(events, first_step),
        )
    found = of_first_rank(found)
    assert found is not None
    return found


def take_over(config: RunConfig, journal: Journal, found: Checkpoint | None, changed: Mapping[str, Any]) -> None:
    """Take over the run's folder from whatever trained there before (rank 0)."""
    discard_partial(config.checkpoints)
    discard_done_after(config.run_folder, found.step if found else 0)
    for folder in misnamed_folders(config.checkpoints):
        say(f"WARNING: {folder} is not taken for a checkpoint: their names are step_ and six digits or more")
    write_atomically(config.run_folder / "config.yaml", to_yaml(config))
    if config.init_from and not found:
        read = texts_read_before(config)
        note = check_held_out(config, read)
        journal.event(BEGUN, folder=config.init_from, read=read, note=note)
        if note:
            say(f"WARNING: {note}")
    if found:
        say(f"resuming from {found.folder}")
    for key, values in changed.items():
        say(f"resuming with another {key}: was {values['was']}, now {values['now']}")
    if changed:
        journal.event("configuration changed", changes=changed)


def _of_them_trained(started: engine.Engine) -> str:
    """Said of an adapter alone."""
    held = [getattr(p, "ds_numel", p.numel()) for p in started.module.parameters()]
    trained = [getattr(p, "ds_numel", p.numel()) for p in trained_parameters(started.module).values()]
    return f" ({sum(trained):,} trained beside a frozen base)" if len(trained) < len(held) else ""


def describe(config: RunConfig, rank: Rank, stream: TokenStream, started: engine.Engine) -> None:
    """What is about to be trained, on what."""
    training = config.training
    samples = consumed_samples(training, training.steps)
    shared = f", {training.sequence_ranks} to a row" if training.sequence_ranks > 1 else ""
    say(
        f"{config.name}: {parameter_count(config.model):,} parameters{_of_them_trained(started)}, "
        f"{training.steps:,} steps, "
        f"{samples * config.model.sequence_length:,} tokens, {rank.world_size} ranks{shared}, "
        f"ZeRO-{training.zero_stage}, {training.precision}"
    )
    epochs = "  ".join(f"{name} {passes:.2f}" for name, passes in stream.epochs(samples).items())
    say(f"passes over each source: {epochs}")
    if shortage := stream.shortage():
        say(shortage)
    if never := why_no_best(config, read_manifest(config.shards).splits):
        say(f"WARNING: {never}")
    factors = carry_over(config.model, training.tuned_at, training.optimizer)
    say(describe_groups(started.module, training, factors))
