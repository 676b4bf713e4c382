"""The words of `domainlm ladder`."""

import argparse

from domainlm.option_values import number
from domainlm.slurm.arguments import add_job

FEWEST, MOST = 3, 5
"""Rungs of a ladder."""
LARGEST_SHARE = 1 / 20
"""Of the planned run's computation, in the largest rung."""


def add_ladder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rungs",
        type=int,
        choices=range(FEWEST, MOST + 1),
        default=FEWEST + 1,
        help="small runs (default 4): each has about three times the computation of the one below; more of them "
        "carry a law with more constants, and test it",
    )
    parser.add_argument(
        "--largest",
        type=number(0, 0.5),
        default=LARGEST_SHARE,
        metavar="SHARE",
        help="most computation of a rung as a share of the planned run's (default 0.05); all rungs together have about "
        "one and a half times that",
    )
    parser.add_argument(
        "--prepare", action="store_true", help="train nothing: write the rungs' configurations, for `domainlm submit`"
    )
    job = parser.add_argument_group("on Slurm", "with --nodes and --time the rungs are submitted as one array job")
    add_job(job, required=False)
    parser.set_defaults(chain=1)
