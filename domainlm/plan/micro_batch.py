"""`training.micro_batch: auto`: the number that the plan says fits, settled before anything is done with the run.

It is written into the run's configuration as a number, and told to the ranks as one: a run that has begun keeps it, on
whatever machine, as long as it divides the batch there and fits. Sums are taken in the order of micro-batches, and
dropout is drawn by them: with another number a run would differ in its last digits, with dropout in more.
"""

import argparse
from dataclasses import replace

from domainlm.plan.build import machine_of, on_hardware
from domainlm.plan.placement import largest_micro_batch, micro_batches_that_divide, step_memory
from train.config import RunConfig
from train.config_file import AUTO, ConfigError, asks_for_auto, load_config
from train.engine.placement import configured_placement
from train.hardware import Machine

KEY = "training.micro_batch"
HERE, PLANNED = ("train", "run", "rehearse", "finetune"), ("plan", "doctor", "ladder", "mixture", "series")
"""Commands that take batches to devices: this machine's, or those that the run is planned for."""


def settle(arguments: argparse.Namespace) -> str | None:
    """Put the number into the overrides of a command whose configuration says auto; returns the line that says so.

    Raises:
        ConfigError: no number divides the batch over the ranks, not even one row fits, or a job's nodes are not known.
    """
    config = load_config(arguments.config, [*arguments.overrides, f"{KEY}=1"])
    begun = _begun_with(config)
    number, said = begun or 1, None if begun else "micro_batch auto: not settled before a run begins; here it is 1"
    if arguments.command in (*HERE, *PLANNED, "submit"):
        number, said = choose(config, _machine(config, arguments), begun)
    arguments.overrides = [*arguments.overrides, f"{KEY}={number}"]
    return said


def choose(config: RunConfig, machine: Machine, begun: int | None) -> tuple[int, str]:
    """The number for this machine, and what to say of it.

    Args:
        begun: that the run has begun with.
    """
    placement, devices = configured_placement(config.training), f"{machine.devices} × {machine.device}"
    dividing = micro_batches_that_divide(config.training, machine.devices)
    if not dividing:
        sizes = ", ".join(map(str, config.training.batch_sizes.values()))
        raise ConfigError(f"{KEY} {AUTO}: training.batch_size {sizes} cannot be divided over {devices}")
    number, why = largest_micro_batch(config, machine, placement), ""
    if not number:
        least = step_memory(config, machine, placement, 1).total
        raise ConfigError(
            f"{KEY} {AUTO}: not even one row fits {devices}: a step takes {_gigabytes(least)} of "
            f"{_gigabytes(machine.usable_memory)}; `domainlm plan` shows what does, for which set {KEY} to a number"
        )
    if begun in dividing and begun <= number:
        number, why = begun, ", with which the run has begun"
    elif begun is not None:
        why = f"; the {begun} that the run has begun with do not fit here"
    taken = step_memory(config, machine, placement, number).total
    rows = " or ".join(str(size // machine.devices) for size in dict.fromkeys(config.training.batch_sizes.values()))
    return number, (
        f"micro_batch auto: {number} of a rank's {rows} rows at a time{why}; the plan says a step takes "
        f"{_gigabytes(taken)} of {_gigabytes(machine.usable_memory)} usable on each of {devices}"
    )


def _begun_with(config: RunConfig) -> int | None:
    """What the run's own configuration has, if the run has begun."""
    file = config.run_folder / "config.yaml"
    return load_config(file).training.micro_batch if file.exists() and not asks_for_auto(file) else None


def _machine(config: RunConfig, arguments: argparse.Namespace) -> Machine:
    """The machines that the command's ranks will be on: a job's, the planned ones, or this one."""
    if arguments.command == "submit":
        if config.hardware is None:
            raise ConfigError(
                f"{KEY} {AUTO}: which GPUs the job's nodes have is not known here: add a `hardware` section, or set it "
                "to a number"
            )
        ranks = arguments.ranks_per_node or arguments.gpus_per_node or 1
        return replace(machine_of(config), nodes=arguments.nodes, devices_per_node=ranks)
    if arguments.command in HERE:
        return machine_of(config.model_copy(update={"hardware": None}))
    return machine_of(on_hardware(config, arguments.gpu, arguments.gpus) if arguments.command == "plan" else config)


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:,.2f} GB"
