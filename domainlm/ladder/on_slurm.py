"""A ladder's rungs on a cluster: as one array job, a task for each rung that is not trained."""

import argparse
import math
from collections.abc import Sequence
from typing import Any

from domainlm.ladder.make import describe, make_ladder
from domainlm.result import show
from domainlm.slurm.submit import describe_array, job_from, new_folder, render_array, submit_array
from train.config import RunConfig
from train.config_file import ConfigError, load_config


def is_wanted(arguments: argparse.Namespace) -> bool:
    """Whether the words ask for it; raises ConfigError where they are half of it."""
    if (arguments.nodes is None) != (arguments.time is None):
        raise ConfigError("ladder: a job on Slurm takes both --nodes and --time")
    if arguments.nodes is None and (arguments.dry_run or arguments.sbatch):
        raise ConfigError("ladder: options of a job on Slurm go with --nodes and --time")
    return arguments.nodes is not None


def ladder(arguments: argparse.Namespace, config: RunConfig) -> dict[str, Any]:
    """Submit what is not trained yet; once all is, measure it as without Slurm.

    Raises:
        ConfigError: as make_ladder; a rung's batch cannot be divided over the job's ranks; or such an array waits or
            runs.
    """
    job, name = job_from(arguments), f"{config.name}-ladder"
    result = make_ladder(config, arguments.rungs, arguments.largest, prepare=True, ranks=job.ranks)
    if result["finished"]:
        show(arguments, describe(result))
        return result
    largest_first = reversed(result["runs"])
    rungs = [load_config(about["config"]) for about in largest_first if not about["trained"]]
    _check_ranks(rungs, job.ranks)
    folder = new_folder(config)
    script = render_array(name, rungs, job, folder)
    show(arguments, script)
    if arguments.dry_run:
        return result | {"script": script, "job": None}
    number = submit_array(name, rungs, job, script, folder)
    again = "afterwards: the same command again, which measures the rungs and submits any that is not trained"
    show(arguments, f"{describe_array(name, rungs, number, folder)}\n{again}")
    return result | {"job": number, "folder": str(folder)}


def _check_ranks(rungs: Sequence[RunConfig], ranks: int) -> None:
    """Nobody sets a rung's batch: what can be asked for is another number of ranks."""
    sizes = sorted({size for rung in rungs for size in rung.training.batch_sizes.values()})
    most = math.gcd(*sizes)
    if most % ranks:
        fewer = f"{most}, or a number that divides it" if most > 1 else "1"
        raise ConfigError(
            f"ladder: the rungs' batches of {', '.join(map(str, sizes))} rows cannot be divided over {ranks} ranks: "
            f"ask for {fewer} (--nodes, --gpus-per-node, --ranks-per-node)"
        )
