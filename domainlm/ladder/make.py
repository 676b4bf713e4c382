"""A ladder: small runs chosen from a planned one, trained one after the other, scored, and a law carried to the plan.

What is made lies in ladder/ of the run's folder: a folder for each rung, which is a run as any other on the planned
run's own shards, and scores/.
"""

import json
from collections.abc import Sequence
from typing import Any

from data.files import write_atomically
from data.progress import say
from data.shards.format import read_manifest
from domainlm.configuration import check_made_of_documents
from domainlm.ladder.figures import Point, ladder_figures
from domainlm.ladder.prediction import identity
from domainlm.ladder.rungs import Rung, choose_rungs, derive, rate_notes
from domainlm.ladder.small_runs import check_held_out, config_file, scores, small_run, train
from domainlm.plan.scaling import effective_tokens
from evaluation.pages.ladder import FACTS, write_ladder
from model.sizes import flop_per_token, parameter_count
from train.checkpoints.folders import describe_finished, newest_checkpoint
from train.checkpoints.identity import read_own
from train.config import RunConfig
from train.config_file import ConfigError
from train.schedule import consumed_samples
from train.token_stream import open_stream

FOLDER = "ladder"


def make_ladder(
    config: RunConfig, number: int, largest: float, *, prepare: bool = False, ranks: int | None = None
) -> dict[str, Any]:
    """Train what is not trained yet, score it, and predict the planned run.

    Args:
        number: rungs.
        largest: share of the planned run's computation that no rung exceeds.
        prepare: train nothing; leave each rung ready for `domainlm train` and `submit`.
        ranks: that train a rung at most; None: as many as on this machine.

    Returns:
        "runs": of each rung its folder, configuration, size and whether it is trained; "finished": whether all are;
        then also the content of ladder.json ("measured": what the planned run itself needs, if it is trained and
        evaluated), and "page".

    Raises:
        ConfigError: no ladder can be made of such a run.
        DataError: the shards are missing, or hold nothing out.
        SystemExit: training failed; the ranks have said why.
    """
    _check(config)
    planned = _size(config)
    check_held_out(config, "ladder")
    from domainlm.launcher import local_ranks  # loads torch

    rungs = choose_rungs(config, number, largest, ranks or local_ranks(config))
    if len(rungs) < number:
        say(f"ladder: {len(rungs)} rungs and not {number}: there is no smaller model with heads of this width")
    runs = [_prepare(config, rung) for rung in rungs]
    result: dict[str, Any] = {"runs": [_about(run, planned) for run in runs]}
    for place, (run, about) in enumerate(zip(runs, result["runs"], strict=True), start=1):
        if about["trained"] or prepare:
            continue
        say(f"ladder: rung {place} of {len(runs)}: {about['parameters']:,} parameters, {about['steps']:,} steps")
        about["trained"] = train(run, prepare)
        if not about["trained"]:
            break
    if not all(about["trained"] for about in result["runs"]):
        return result | {"finished": False}
    return result | {"finished": True} | _measure(config, planned, runs, result["runs"])


def _check(config: RunConfig) -> None:
    check_made_of_documents(config, "ladder")
    if config.init_from or config.lora:
        raise ConfigError(
            "ladder: this run begins with the weights of another model, of which there are no smaller ones: a ladder "
            "is of runs from scratch"
        )


def _prepare(config: RunConfig, rung: Rung) -> RunConfig:
    """The rung's run, its configuration written; text, tokenizer and shards are the planned run's."""
    return small_run(derive(config, rung), config.run_folder / FOLDER, str(rung.parameters), "ladder")


def _about(run: RunConfig, planned: dict[str, Any]) -> dict[str, Any]:
    size = _size(run)
    return size | {
        "folder": str(run.run_folder),
        "config": str(config_file(run)),
        "steps": run.training.steps,
        "trained": describe_finished(run) is not None,
        "layers": run.model.layers,
        "width": run.model.width,
        "batch_size": list(run.training.batch_sizes.values())[-1],
        "learning_rate": run.training.learning_rate,
        "share": size["flop"] / planned["flop"],
    }


def _size(run: RunConfig) -> dict[str, Any]:
    """What a run has of parameters, tokens and computation, and what its repeated tokens are worth.

    Raises:
        DataError: the shards are missing, or not those of this configuration.
    """
    stream, samples = open_stream(run), consumed_samples(run.training, run.training.steps)
    passes = stream.epochs(samples)
    unique = {name: sum(source.tokens) for name, source in stream.packing.sources.items()}
    worth = sum(effective_tokens(unique[name], count) for name, count in passes.items())
    seen = sum(unique[name] * count for name, count in passes.items())
    tokens = samples * run.model.sequence_length
    return {
        "parameters": parameter_count(run.model),
        "tokens": tokens,
        "effective_tokens": tokens * worth / seen,
        "passes": passes,
        "flop": flop_per_token(run.model) * tokens,
    }


def _measure(
    config: RunConfig, planned: dict[str, Any], runs: Sequence[RunConfig], abouts: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Score every rung on the planned run's held-out text; write ladder.json and its page."""
    points = [
        Point(_computation(about) / _computation(planned), *scores(config, run, config.run_folder / FOLDER))
        for run, about in zip(runs, abouts, strict=True)
    ]
    inputs = {
        "shards": read_manifest(config.shards).digest,
        "planned": identity(config),
        "checkpoints": [point.checkpoint for point in points],
    }
    figures = ladder_figures(points, seed=config.seed)
    figures["notes"] += rate_notes(config)
    rungs = [about | {"sources": measured} for about, measured in zip(abouts, figures.pop("measured"), strict=True)]
    content = {"inputs": inputs, "planned": planned, "measured": _measured(config), "rungs": rungs} | figures
    write_atomically(config.reports / FACTS, json.dumps(content, indent=1))
    page = write_ladder(content, config.name, config.reports)
    say(f"ladder: {page}")
    return content | {"page": str(page)}


def _measured(config: RunConfig) -> dict[str, dict[str, float]]:
    """What the planned run itself was measured to need, once it is trained and evaluated on this text; else nothing."""
    if describe_finished(config) is None:
        return {}
    found = read_own(config.reports / "evaluate.json", newest_checkpoint(config), config)
    if found is None or found["step"] != config.training.steps:
        return {}
    if found["inputs"].get("tokens") != config.evaluation.tokens:
        return {}
    return {
        source: {split: figure["bits_per_byte"] for split, figure in splits.items()}
        for source, splits in found["sources"].items()
    }


def _computation(size: dict[str, Any]) -> float:
    """FLOP, with repeated tokens counted as what they are worth."""
    return float(size["flop"] * size["effective_tokens"] / size["tokens"])


def describe(result: dict[str, Any]) -> str:
    """Rungs and prediction as tables for people, or what is still to be trained."""
    if not result["finished"]:
        waiting = [f"domainlm train {run['config']}" for run in result["runs"] if not run["trained"]]
        return "\n".join(["to be trained, here or by `domainlm submit`; then the same command again:", *waiting])
    rungs, sources = result["rungs"], result["sources"]
    lines = [f"{'rung':<6} {'layers × width':>16} {'parameters':>14} {'tokens':>16} {'computation':>12}"]
    for place, rung in enumerate(rungs, start=1):
        shape = f"{rung['layers']} × {rung['width']}"
        lines.append(f"{place:<6} {shape:>16} {rung['parameters']:>14,} {rung['tokens']:>16,} {rung['share']:>12.3%}")
    columns = "".join(f"{f'rung {place}':>8}" for place in range(1, len(rungs) + 1))
    lines += ["", f"{'bits per byte':<36}{columns} {'planned run':>12}"]
    for source, splits in sources.items():
        for split, found in splits.items():
            own = "".join(f"{rung['sources'][source][split]:>8.3f}" for rung in rungs)
            span = f"({found['low']:.3f} to {found['high']:.3f})"
            measured = result["measured"].get(source, {}).get(split)
            beside = (
                "" if measured is None else f"  measured {measured:.3f}, {found['bits_per_byte'] / measured - 1:+.1%}"
            )
            lines.append(f"{f'{source} / {split}':<36}{own} {found['bits_per_byte']:>12.3f} {span}{beside}")
    return "\n".join([*lines, "", *result["notes"], "", f"page    {result['page']}"])
