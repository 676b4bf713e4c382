"""The options of `domainlm mixture`."""

import argparse

from domainlm.option_values import number, whole


def add_mixture(mixture: argparse.ArgumentParser) -> None:
    """How many runs there are, how long and how large, and what may be proposed."""
    mixture.add_argument(
        "--runs",
        type=whole(4),
        metavar="N",
        help="mixtures to try, the configured one among them (X)",
    )
    mixture.add_argument(
        "--steps", type=whole(2), metavar="N", help="steps of each run (default: a tenth of training.steps, least 20)"
    )
    mixture.add_argument(
        "--passes",
        type=number(0),
        default=4.0,
        metavar="N",
        help="propose no mixture with which the planned run passes over a source more often (default: 4, up to which "
        "repeated text is nearly as good as new; the small runs say nothing of more)",
    )
    mixture.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="section.key=value",
        help="a setting of the small runs alone, such as model.layers=6 model.width=384 model.heads=6: models of 15 M "
        "parameters and more rank mixtures as a large one does; may be given again",
    )
    mixture.add_argument(
        "--prepare", action="store_true", help="train nothing: make all that the runs need, for `domainlm submit`"
    )
