"""Models beside a run: each scored on the run's held-out text, with what it costs, and a verdict."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from data.errors import DataError
from data.files import write_atomically
from data.progress import say
from data.shards.format import verify_held_out
from domainlm.measure.already_read import HeldOutId, already_read
from domainlm.measure.audit import REPORT as AUDIT
from domainlm.measure.named_model import load_named, named_run, own_model
from domainlm.measure.questions import answered_before
from domainlm.measure.tasks import kept_figures
from domainlm.status.read import read_status
from domainlm.trace import tokens_between
from evaluation.bits_per_byte import HELD_OUT_SPLITS, Rule, read_held_out
from evaluation.comparison import Compared, comparison_json
from evaluation.figures import figures, spans
from evaluation.general_model import Dtype
from evaluation.language_model import LanguageModel
from evaluation.pages.comparison import FACTS, write_comparison
from evaluation.scores import SCORES, Scored, Text, score_model
from train.checkpoints.folders import Checkpoint
from train.checkpoints.identity import check_data
from train.config import RunConfig
from train.config_file import ConfigError


def held_out_text(config: RunConfig, checkpoint: Checkpoint, maximum_tokens: int | None) -> Text:
    """The run's held-out documents, of each source and split whole ones of at most so many tokens; None for all.

    Raises:
        CheckpointError: shards, corpus or cutoff are not those that the checkpoint was trained with.
        DataError: the shards are missing or damaged.
    """
    manifest = check_data(checkpoint, config)
    verify_held_out(config.shards)
    documents = read_held_out(config.shards, HELD_OUT_SPLITS, maximum_tokens)
    return Text(manifest.digest, manifest.tokenizer_digest, config.corpus, documents)


def compare(
    config: RunConfig,
    others: Sequence[str],
    *,
    window: int | None = None,
    dtype: Dtype | None = None,
    rule: Rule = "half",
    shard: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """Score the run's newest checkpoint and other models on the run's held-out text; reports/compare.json.

    Args:
        others: as `named_model.load_named` takes them.
        window, dtype: of models of transformers.
        shard: (i, n): score this share of the text and say no more.

    Raises:
        ConfigError: a name is of no model, or two models have one name.
        CheckpointError, DataError: as for `evaluate`.
    """
    own, trained = own_model(config)
    text = held_out_text(config, trained.checkpoint, config.evaluation.compare_tokens or config.evaluation.tokens)
    if not text.documents:
        raise DataError(f"{config.name}: no documents are held out to compare on (data.cutoff, data.past_fraction)")
    first = _score(own, text, config, rule, shard)
    compared = [] if first is None else [_compared(config, own, first, None, config)]
    held_out = [
        HeldOutId(each.split, each.document.id, each.document.date.last if each.document.date else None)
        for each in text.documents
    ]
    for path in others:
        model = load_named(path, window=window, dtype=dtype)
        if model.name in (each.name for each in compared):
            raise ConfigError(f"{path}: there are two models of the name {model.name}: rename a folder")
        scored = _score(model, text, config, rule, shard)
        if scored is not None and first is not None:
            beside = _beside(config, trained.step, path, model, scored, first)
            read = already_read(path, held_out)
            compared.append(replace(beside, remarks=read.remarks, already_read=read.documents))
    if shard is not None:
        return {"scored": [model.name for model in compared]}
    result = comparison_json(compared)
    write_atomically(config.reports / FACTS, json.dumps(result, indent=1))
    say(f"comparison: {write_comparison(result, config.name, config.reports)}")
    return result


def _score(
    model: LanguageModel, text: Text, config: RunConfig, rule: Rule, shard: tuple[int, int] | None
) -> Scored | None:
    say(f"{model.name}: {model.parameters:,} parameters on {model.device}, {model.window:,} tokens at once")
    return score_model(model, text, config.reports / SCORES, rule, shard)


def _beside(
    config: RunConfig,
    step: int,
    path: str,
    model: LanguageModel,
    scored: Scored,
    first: Scored,
) -> Compared:
    """Another model, which `path` names; of a run, what its training cost, and of this one what was gained between."""
    if (run := named_run(path)) is None:
        return _compared(config, model, scored, first)
    other, other_step = run
    compared = _compared(config, model, scored, first, other)
    if other_step is None or other.run_folder.resolve() != config.run_folder.resolve():
        return compared
    return replace(compared, gained=_gained(config, step, other_step, compared.figures["sources"]))


def _compared(
    config: RunConfig, model: LanguageModel, scored: Scored, first: Scored | None, run: RunConfig | None = None
) -> Compared:
    """What is known of a model on the text of `config`, and of its training where it is of a run."""
    domain = {source.name for source in config.data.sources if source.domain}
    before = answered_before(config, model.digest)
    return Compared(
        name=model.name,
        figures=figures(scored, first, period=config.data.period, domain=domain, seed=config.seed),
        cost=(_training_cost(run) if run else {}) | _scoring_cost(config, scored),
        parameters=model.parameters,
        tasks=kept_figures(config, model.name, model.digest) | before.tasks,
        open_book=before.open_book,
        memorised=_memorised(run, model.digest) if run else {},
    )


def _memorised(config: RunConfig, digest: str) -> dict[str, Any]:
    """What audit.json has of memorisation, where it is of this checkpoint: {stratum: {"value", "low", "high", "of"}}.

    Strata are passages "seen N times", and those of a "held-out SPLIT", with which the others are to be compared.
    """
    try:
        content = json.loads((config.reports / AUDIT).read_bytes())
        checkpoint, found = content["inputs"]["checkpoint"], content["memorisation"]
    except (FileNotFoundError, ValueError, KeyError):
        return {}
    if checkpoint != digest:
        return {}
    figures = {f"seen {name} times": figure for name, figure in found["by_times_seen"].items()}
    figures |= {f"held-out {split}": figure for split, figure in found["held_out"].items()}
    return {
        name: {"value": figure["rate"], **{key: figure[key] for key in ("low", "high", "of")}}
        for name, figure in figures.items()
        if figure["rate"] is not None
    }


def _gained(config: RunConfig, own: int, other: int, sources: Mapping[str, Any]) -> dict[str, Any]:
    """What was gained between two checkpoints of one run, by source; as `gained` of compare.json.

    Args:
        own, other: their steps.
        sources: of the other one, with its differences from the own one.
    """
    first, last = sorted((own, other))
    tokens = tokens_between(config, first, last)

    def span(difference: Mapping[str, float | None], factor: float) -> dict[str, float | None]:
        """The differences are those of `other` less those of `own`: gained is what the later one needs less."""
        ends = ("value", "low", "high") if factor > 0 else ("value", "high", "low")
        found = [difference[end] for end in ends]
        value, low, high = (None if end is None else end * factor for end in found)
        return {"value": value, "low": low, "high": high}

    sign = 1 if other < own else -1
    return {
        "first_step": first + 1,
        "last_step": last,
        "tokens": tokens,
        "sources": {
            source: {
                split: span(figure["difference"], sign)
                | {
                    "per_million_tokens": span(figure["difference"], sign * 1e6 / tokens[source])
                    if tokens.get(source)
                    else None
                }
                for split, figure in splits.items()
            }
            for source, splits in sources.items()
        },
    }


def _training_cost(config: RunConfig) -> dict[str, Any]:
    """Device-hours and money of a run, from its journal."""
    status = read_status(config)
    money = status.ledger.money
    return {
        "training_device_hours": sum(status.ledger.device_hours.values()),
        "training_money": None if money is None else sum(money.values()),
        "currency": status.currency,
    }


def _scoring_cost(config: RunConfig, scored: Scored) -> dict[str, Any]:
    """Speed and memory while the text was scored on one device, and the price of a million tokens at it."""
    price = config.hardware.price_per_gpu_hour if config.hardware else None
    size = sum(document.score.bytes for document in scored.documents)
    return {
        "device": scored.inputs["device"],
        "tokens_per_second": scored.tokens_per_second,
        "bytes_per_second": size / max(scored.seconds, 1e-9),
        "peak_memory_bytes": scored.peak_bytes,
        "money_per_million_tokens": price / 3600 / scored.tokens_per_second * 1e6 if price else None,
    }


def describe(result: dict[str, Any]) -> str:
    """The table that a person reads."""
    lines = [f"{'bits per byte':<44} {'value':>8}   95 % interval       difference from the first"]
    for model in result["models"]:
        lines.append(f"{model['name']}  ({model['parameters']:,} parameters)")
        for source, splits in model["sources"].items():
            for split, figure in splits.items():
                lines.append(f"  {f'{source} / {split}':<42} {figure['bits_per_byte']:>8.3f}   {spans(figure)}")
        cost = model["cost"]
        lines.append(
            f"  {cost['tokens_per_second']:,.0f} tokens/s on {cost['device']}, {cost['peak_memory_bytes'] / 1e9:.2f} GB"
        )
        lines += [
            f"  of {found['of']:,} passages {name} {found['value']:.2%} are continued exactly "
            f"({found['low']:.2%} to {found['high']:.2%})"
            for name, found in model["memorised"].items()
        ]
        lines += _gain_lines(model["gained"]) if model["gained"] else []
        lines += [f"  note: {remark}" for remark in model["remarks"]]
    return "\n".join([*lines, "", result["verdict"]])


def _gain_lines(gained: Mapping[str, Any]) -> list[str]:
    lines = [f"  gained in steps {gained['first_step']:,} to {gained['last_step']:,}"]
    for source, splits in gained["sources"].items():
        tokens = gained["tokens"].get(source, 0)
        for split, found in splits.items():
            each = found["per_million_tokens"]
            per = f", {_span(each)} per million" if each else ""
            lines.append(f"    {f'{source} / {split}':<40} {_span(found)} bits per byte by {tokens:,} tokens{per}")
    return lines


def _span(found: Mapping[str, float | None]) -> str:
    ends = "" if found["low"] is None else f" ({found['low']:+.3g} to {found['high']:+.3g})"
    return f"{found['value']:+.3g}{ends}"
