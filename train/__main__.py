"""One rank of a run: `deepspeed --module train CONFIG`, `srun python -m train CONFIG`, or `python -m train CONFIG`."""

import argparse
import os
import sys
import traceback

from data.addresses import without_secrets
from data.errors import DataError
from train.checkpoints.folders import CheckpointError
from train.config import RunConfig
from train.config_file import ConfigError, load_config
from train.spikes.skip_rules import DivergedError
from train.stop import END_TIME, StopRequest
from train.watchdog import show_stacks_on_request


def main() -> int:
    """Train as one rank and leave with the exit code: 0 done or stopped on request, 1 failed, 2 refused to start."""
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
    try:
        config = load_config(arguments.config, arguments.overrides)
        # From here on a signal is a request, which the loop meets, and SIGUSR2 shows where this rank is.
        show_stacks_on_request()
        stop = _stop_request(config)
        # After the configuration is known to be good: these load torch and DeepSpeed, which takes seconds.
        from train.process import name_accelerator

        name_accelerator()
        from train.loop import train

        train(config, stop)
    except (ConfigError, DataError, CheckpointError, DivergedError) as error:
        return _refuse(str(error))
    except Exception:
        print(f"rank {_rank()} failed:\n{without_secrets(traceback.format_exc())}", file=sys.stderr, flush=True)
        # Peers may sit in a collective for ever: leave at once, so that the launcher ends them with this exit code.
        os._exit(1)
    # All is written. An interpreter that ends takes torch's threads down in any order, which now and then aborts it.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _stop_request(config: RunConfig) -> StopRequest:
    """What asks this rank to stop. Rank 0 watches the STOP file and the job's time limit for all."""
    if _rank() != "0":
        return StopRequest(None)
    end_time = os.environ.get(END_TIME)
    try:
        return StopRequest(config.run_folder / "STOP", float(end_time) if end_time else None)
    except ValueError:
        raise ConfigError(f"{END_TIME}={end_time} is not a time: set it to seconds since 1970") from None


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
