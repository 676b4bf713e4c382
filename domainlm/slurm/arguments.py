"""What is asked of Slurm, in words: the options of `domainlm submit`, and of what submits several runs."""

import argparse

from domainlm.option_values import whole


def add_job(parser: argparse._ActionsContainer, *, required: bool) -> None:
    """All but a chain. `required`: nodes and time have to be given."""
    parser.add_argument("--nodes", type=whole(1), required=required, help="nodes that train")
    parser.add_argument(
        "--time", required=required, help="time limit as Slurm takes it, such as 12:00:00 or 2-00:00:00"
    )
    parser.add_argument("--gpus-per-node", type=whole(0), default=8, help="0: nodes without GPUs (default 8)")
    parser.add_argument("--ranks-per-node", type=whole(1), help="default: one a GPU, or one")
    parser.add_argument("--cpus-per-rank", type=whole(1), help="default: as in slurm/pretrain.sbatch")
    parser.add_argument("--partition", help="Slurm partition")
    parser.add_argument("--account", help="Slurm account")
    parser.add_argument("--launcher", choices=("srun", "torchrun", "deepspeed"), default="srun", help="default srun")
    parser.add_argument("--spare", type=whole(0), default=0, help="nodes more, of which as many may turn out bad")
    parser.add_argument(
        "--retry-crashes", action="store_true", help="queue again after a crash, but not after two alike"
    )
    parser.add_argument(
        "--sbatch", action="append", default=[], metavar="KEY=VALUE", help="another option of sbatch, such as qos=long"
    )
    parser.add_argument("--dry-run", action="store_true", help="show the script; write and submit nothing")
