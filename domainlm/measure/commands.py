"""The commands of `domainlm` that measure models, as commands.py has the others."""

import argparse
from typing import Any

from domainlm.result import Result, show
from train.config import RunConfig
from train.config_file import ConfigError


def compare(arguments: argparse.Namespace, config: RunConfig) -> Result:
    from domainlm.measure import compare as comparing

    wanted = {"rule": arguments.windows, "shard": arguments.shard}
    result = comparing.compare(config, arguments.others, **wanted, **_read_as(arguments))
    if arguments.shard is None:
        show(arguments, comparing.describe(result))
    return result


def questions(arguments: argparse.Namespace, config: RunConfig) -> Result:
    from domainlm.measure import questions as asking

    wanted = {"items": arguments.items, "passages": arguments.retrieve, "kinds": arguments.kinds}
    if arguments.examples:
        from domainlm.measure import examples

        if arguments.others:
            raise ConfigError(f"--examples asks no model, leave out {arguments.others[0]}")
        result = examples.write_examples(config, arguments.examples, since=arguments.since, **wanted)
        show(arguments, examples.describe(result))
        return result
    if arguments.since:
        raise ConfigError("--since is for --examples: questions are made of all held-out documents")
    result = asking.ask(config, arguments.others, **wanted, **_read_as(arguments))
    show(arguments, asking.describe(result))
    return result


def audit(arguments: argparse.Namespace, config: RunConfig) -> Result:
    from domainlm.measure import audit as auditing

    result = auditing.audit(config, passages=arguments.passages, samples=arguments.samples, text=arguments.text)
    show(arguments, auditing.describe(result))
    return result


def tasks(arguments: argparse.Namespace, config: RunConfig) -> Result:
    from domainlm.measure import tasks as scoring

    wanted = {"models": arguments.model, "limit": arguments.limit, "fetch": arguments.fetch}
    result = scoring.score_tasks(config, arguments.others, **wanted, **_read_as(arguments))
    show(arguments, scoring.describe(result))
    return result


def _read_as(arguments: argparse.Namespace) -> dict[str, Any]:
    """How models of transformers are read."""
    return {"window": arguments.window, "dtype": arguments.dtype}
