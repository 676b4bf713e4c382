"""`domainlm mixture`: small runs over many mixtures of one corpus, the law they follow, and a mixture that is measured.

What is made lies in mixture/ of the run's folder, a folder for each run, which is a run as any other on its shards.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data.config import CANARIES
from data.files import write_atomically
from data.progress import say
from data.shards.format import read_manifest
from domainlm.configuration import check_made_of_documents
from domainlm.ladder.small_runs import check_held_out, config_file, scores, small_run, train, without_the_rest
from domainlm.mixture.proposal import (
    Tried,
    aims,
    bounds,
    is_configured,
    measured_gain,
    propose,
    texts_of,
    verdict,
)
from domainlm.mixture.swarm import default_runs, fewest_runs, swarm
from domainlm.result import still_to_train
from evaluation.pages.mixture import FACTS, write_mixture
from train.config import RunConfig
from train.config_file import ConfigError
from train.schedule import consumed_samples

FOLDER = "mixture"
NEARLY_FRESH = 4.0
"""Passes up to which repeated text is nearly as good as new (Muennighoff et al. 2023): the small runs, which repeat
less than the planned one, say nothing of more."""
SHARE_OF_STEPS = 0.1
FEWEST_STEPS = 20
ITS_OWN = {
    "data": "all runs have the planned run's text, each in a mixture of its own: set it in the configuration",
    "folder": "each run has a folder of its own in mixture/ of the planned run's",
    "training.steps": "give --steps, by which warm-up and saves go too",
}
"""Settings that are not the small runs' alone, and what to do instead."""


@dataclass(frozen=True)
class Asked:
    """How the runs are to be.

    Attributes:
        runs: mixtures that are tried; None: what the number of sources calls for.
        steps: of each; None: a tenth of the planned run's.
        passes: over a source, more than which no mixture is proposed for the planned run.
        settings: other settings of the small runs, as of the command line, such as a smaller model.
    """

    runs: int | None = None
    steps: int | None = None
    passes: float = NEARLY_FRESH
    settings: tuple[str, ...] = ()


def make_mixture(config: RunConfig, asked: Asked, *, prepare: bool = False) -> dict[str, Any]:
    """Train what is not trained yet, fit the law, train one run more with what it proposes; reports/mixture.json.

    Args:
        prepare: train nothing; leave each run ready for `domainlm train` and `submit`.

    Returns:
        "runs": [{"weights", "folder", "config", "trained"}], "finished"; then also what `propose` gives, "aims",
        "configured", "measured", "gained_by_a_hundredth" (of the tokens), "tokens", "verdict", and "page".

    Raises:
        ConfigError: nothing can be mixed, or a setting of the small runs is wrong.
        DataError: the shards are missing or damaged.
        SystemExit: training failed; the ranks have said why.
    """
    check_made_of_documents(config, "mixture")
    for setting in asked.settings:
        for key, instead in ITS_OWN.items():
            if f"{setting.split('=')[0].strip()}.".startswith(f"{key}."):
                raise ConfigError(f"mixture: --set {setting}: {instead}")
    configured = _configured(config)
    check_held_out(config, "mixture")
    _check_aims(config)
    number = asked.runs or default_runs(len(configured))
    if number < fewest_runs(len(configured)):
        raise ConfigError(f"mixture: {len(configured)} sources call for {fewest_runs(len(configured))} runs or more")
    if config.data.stages:
        say("mixture: data.stages are left out: what is called configured is the mixture of the sources' own weights")
    mixtures = swarm(configured, number, config.seed)
    runs = [_make_run(config, mixture, asked, f"{place:02d}") for place, mixture in enumerate(mixtures)]
    result: dict[str, Any] = {"runs": [], "finished": False}
    for run, mixture in zip(runs, mixtures, strict=True):
        is_trained = train(run, prepare)
        result["runs"].append(_described(run, mixture, is_trained))
        if not is_trained and not prepare:
            return result
    if not all(run["trained"] for run in result["runs"]):
        return result
    tried = [_tried(config, run, mixture) for run, mixture in zip(runs, mixtures, strict=True)]
    return _conclude(config, asked, prepare, result, tried, runs[0])


def _configured(config: RunConfig) -> dict[str, float]:
    """The shares of the sources in the run, without canaries."""
    if config.data.shards is not None and config.shards_are_remote:
        raise ConfigError("mixture: the shards are remote: the small runs call for local ones, set data.shards to them")
    tokens = _tokens(config)
    if len(config.data.sources) < 2:
        raise ConfigError("mixture: there is one source, and nothing to mix")
    given = {source.name: source.weight for source in config.data.sources}
    weights = {name: tokens[name] ** config.data.alpha if weight is None else weight for name, weight in given.items()}
    return {name: weight / sum(weights.values()) for name, weight in weights.items()}


def _check_aims(config: RunConfig) -> None:
    """Say what the proposal will leave out of sight. Raises ConfigError: that is the whole of the domain."""
    splits = read_manifest(config.shards).splits
    held_out = {name for split in ("past", "future") for name in splits.get(split, {})}
    domain = {source.name for source in config.data.sources if source.domain}
    if not domain:
        say("mixture: no source has domain: true, so that the mean of all held-out texts is to be least")
    elif not domain & held_out:
        raise ConfigError(
            f"mixture: no text of the domain ({', '.join(sorted(domain))}) is held out, by which to choose: set "
            "data.cutoff or data.past_fraction so that some is"
        )
    elif unseen := sorted(domain - held_out):
        say(f"WARNING: mixture: no text of {', '.join(unseen)} is held out: what it needs is not asked for")


def _tokens(config: RunConfig) -> dict[str, int]:
    """Training tokens by source."""
    return {name: source.tokens for name, source in read_manifest(config.shards).splits["train"].items()}


def _make_run(config: RunConfig, mixture: Mapping[str, float], asked: Asked, name: str) -> RunConfig:
    return small_run(
        _derive(config, mixture, asked) | {"name": f"{config.name}-mixture-{name}"},
        config.run_folder / FOLDER,
        name,
        "mixture",
        asked.settings,
    )


def _derive(config: RunConfig, mixture: Mapping[str, float], asked: Asked) -> dict[str, Any]:
    """The configuration of one small run, as JSON values: the planned one's, shorter."""
    training = config.training
    steps = asked.steps or max(FEWEST_STEPS, round(SHARE_OF_STEPS * training.steps))
    sources = [source.model_dump(mode="json") | {"weight": mixture[source.name]} for source in config.data.sources]
    shorter = {
        "steps": steps,
        "warmup_steps": min(steps - 1, round(training.warmup_steps * steps / training.steps)),
        "batch_size": list(training.batch_sizes.values())[-1],
        "save_every": steps,
        "keep_every": None,
    }
    mixed: dict[str, Any] = {"sources": sources, "alpha": 1.0, "stages": []}
    if config.data.canaries:
        mixed["canaries"] = config.data.canaries.model_dump(mode="json") | {"weight": _canaries_share(config)}
    return without_the_rest(config, "mixture", shorter, mixed)


def _canaries_share(config: RunConfig) -> float:
    """Their weight beside shares that add up to 1, as much as they have of the planned run."""
    tokens, weighed = _tokens(config), sum(source.weight or 0 for source in config.data.sources)
    own = config.data.canaries.weight if config.data.canaries else None
    return own / weighed if own else tokens[CANARIES] / (sum(tokens.values()) - tokens[CANARIES])


def _described(run: RunConfig, mixture: Mapping[str, float], is_trained: bool) -> dict[str, Any]:
    return {
        "weights": dict(mixture),
        "folder": str(run.run_folder),
        "config": str(config_file(run)),
        "trained": is_trained,
    }


def _tried(config: RunConfig, run: RunConfig, mixture: Mapping[str, float]) -> Tried:
    return Tried(mixture, scores(config, run, config.run_folder / FOLDER)[0])


def _conclude(
    config: RunConfig, asked: Asked, prepare: bool, result: dict[str, Any], tried: Sequence[Tried], first: RunConfig
) -> dict[str, Any]:
    """Fit, propose, and train and measure what is proposed."""
    domain = {source.name for source in config.data.sources if source.domain}
    aimed = aims(texts_of(tried[0].documents), domain)
    wanted = consumed_samples(config.training, config.training.steps) * config.model.sequence_length
    limits = {source.name: min(asked.passes, source.maximum_epochs or asked.passes) for source in config.data.sources}
    allowed = bounds(tried, _tokens(config), wanted, limits)
    proposed = propose(tried, aimed, allowed, config.seed)
    weights = {name: each["value"] for name, each in proposed["weights"].items()}
    measured = None
    if not is_configured(weights, tried[0].shares):
        run = _make_run(config, weights, asked, "proposed")
        say("mixture: the proposed one is trained and measured too")
        if not train(run, prepare):
            result["runs"].append(_described(run, weights, is_trained=False))
            return result
        measured = measured_gain(tried[0], _tried(config, run, weights), aimed, config.seed)
    for described, each in zip(result["runs"], tried, strict=True):
        described["bits_per_byte"] = {
            f"{source}/{split}": each.value(indices) for (source, split), indices in texts_of(each.documents).items()
        }
    tokens = consumed_samples(first.training, first.training.steps) * first.model.sequence_length
    complete = (
        result
        | {"finished": True, "aims": [f"{source}/{split}" for source, split in aimed]}
        | {"configured": dict(tried[0].shares), "tokens": tokens, "passes": asked.passes, "measured": measured}
        | proposed
        | {"gained_by_a_hundredth": _by_a_hundredth(proposed["steepness"])}
    )
    complete["verdict"] = verdict(complete)
    write_atomically(config.reports / FACTS, json.dumps(complete, indent=1))
    page = write_mixture(complete, config.name, config.reports)
    say(f"mixture: {page}")
    return complete | {"page": str(page)}


def _by_a_hundredth(steepness: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """A part and no number of tokens: of those a short run may not have as many, and a slope does not reach so far."""
    return {name: {end: value / 100 for end, value in each.items()} for name, each in steepness.items()}


def describe(result: Mapping[str, Any]) -> str:
    """The table that a person reads, or what is still to be trained."""
    if not result["finished"]:
        return still_to_train(result["runs"])
    width = max(6, *(len(name) for name in result["weights"]))
    lines = [f"{'source':<{width}}  configured  proposed                     1 % of the tokens more of it"]
    for name, each in result["weights"].items():
        gained = result["gained_by_a_hundredth"][name]
        lines.append(
            f"{name:<{width}}  {result['configured'][name]:>#10.3g}  {each['value']:>#8.3g} "
            f"({each['low']:#.3g} to {each['high']:#.3g})  {-gained['value']:+.4f} "
            f"({-gained['high']:+.4f} to {-gained['low']:+.4f})"
        )
    said = ", ".join(result["aims"])
    lines += ["", f"1 % of {result['tokens']:,} tokens, in place of the others': bits per byte on {said}"]
    worst = max(law["error"] for law in result["laws"])
    lines.append(f"the law misses a run that it has not seen by up to {worst:.4f} bits per byte (root mean square)")
    return "\n".join([*lines, "", result["verdict"], "", f"page    {result['page']}"])
