"""One rank of a run: `deepspeed --module train CONFIG`, `srun python -m train CONFIG`, or `python -m train CONFIG`."""

import argparse
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from data.addresses import without_secrets
from data.errors import one_line
from train.stop import END_TIME, REQUEST, StopRequest, discard_met_request

if TYPE_CHECKING:
    from train.config import RunConfig

EARLIEST, LATEST = 1e9, 1e10
"""Bounds of a time limit, in seconds since 1970: 2001 and 2286. Outside are lengths of time, and milliseconds."""
LOST_PEER = ("Connection closed by peer", "Connection reset by peer")
"""What gloo says on a rank when another one has ended."""
SECONDS_FOR_THE_FIRST = 3.0
"""In which the launcher, which looks every second, ends all by the exit code of the rank that ended first."""


def main() -> int:
    """Train as one rank and leave with the exit code: 0 done or stopped on request, 1 failed, 2 refused.

    Refused is what a person has to mend first, before the first step or later, such as a full disk: one line says it.
    """
    # From here on a signal is a request, which the loop meets. All else is loaded after it, which takes seconds.
    stop = StopRequest()
    parser = argparse.ArgumentParser(
        prog="train",
        description="Train one rank of a run, or go on from its newest checkpoint. Start one process a GPU with "
        "DeepSpeed's launcher, torchrun or srun; alone it is a run of one rank.",
        epilog="example: deepspeed --num_gpus 2 --module train configs/demo.yaml training.steps=100",
    )
    parser.add_argument("--local_rank", type=int, help=argparse.SUPPRESS)  # DeepSpeed's launcher adds it
    parser.add_argument("config", help="the run's YAML file")
    parser.add_argument(
        "overrides", nargs="*", default=[], metavar="section.key=value", help="changes to the file's values"
    )
    arguments = parser.parse_args()
    from data.errors import DataError, refused_file
    from data.progress import go_on_unread
    from train.checkpoints.folders import CheckpointError
    from train.config_file import ConfigError, load_config
    from train.spikes.skip_rules import DivergedError
    from train.watchdog import show_stacks_on_request

    go_on_unread()
    try:
        config = load_config(arguments.config, arguments.overrides)
        show_stacks_on_request()  # on SIGUSR2
        if _rank() == "0":
            _watch(config, stop)
        # After the configuration is known to be good: what follows loads torch and DeepSpeed.
        from train.engine.machine import name_accelerator

        name_accelerator()
        from train.loop import train

        train(config, stop)
    except (ConfigError, DataError, CheckpointError, DivergedError) as error:
        return _refuse(str(error))
    except KeyboardInterrupt:
        print("error: ended by the second Ctrl-C, within a step", file=sys.stderr, flush=True)
        os._exit(128 + signal.SIGINT)
    except Exception as error:
        if isinstance(error, OSError) and (refused := refused_file(error)):
            return _refuse(refused)
        said = _what_failed(error, config)
        print(f"rank {_rank()} {said}", file=sys.stderr, flush=True)
        # Peers may sit in a collective for ever: leave at once, so that the launcher ends them with this exit code.
        os._exit(1)
    # All is written. An interpreter that ends takes torch's threads down in any order, which now and then aborts it.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _what_failed(error: Exception, config: "RunConfig") -> str:
    if any(words in str(error) for words in LOST_PEER):
        time.sleep(SECONDS_FOR_THE_FIRST)
        return "lost another rank, which has ended: what that one said, or its node, is the reason"
    if type(error).__name__ == "OutOfMemoryError":  # torch's
        from train.step import less_memory

        return f"found no memory on its GPU: {one_line(error)}\n{less_memory(config.training.micro_batch)}"
    return f"failed:\n{without_secrets(traceback.format_exc())}"


def _watch(config: "RunConfig", stop: StopRequest) -> None:
    """Have rank 0 watch for all: the STOP file, the file of whoever started the ranks, the job's time limit."""
    from train.config_file import ConfigError
    from train.records.journal import read_journal

    if given := os.environ.get(END_TIME):
        try:
            stop.end_time = float(given)
            in_bounds = EARLIEST <= stop.end_time <= LATEST  # false for nan
        except ValueError:
            in_bounds = False
        if not in_bounds:
            raise ConfigError(f"{END_TIME}={given} is not a time: set it to seconds since 1970")
    discard_met_request(config.stop_file, read_journal(config.run_folder))
    stop.stop_file = config.stop_file
    if request := os.environ.get(REQUEST):
        stop.request = Path(request)


def _refuse(message: str) -> int:
    """Say what is wrong once: before the ranks are connected all of them find it, and rank 0 speaks."""
    connected = "torch" in sys.modules and sys.modules["torch"].distributed.is_initialized()
    if connected or _rank() == "0":
        print(f"error: {message}", file=sys.stderr, flush=True)
    if connected:
        os._exit(2)
    return 2


def _rank() -> str:
    return os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0"))


if __name__ == "__main__":
    sys.exit(main())
