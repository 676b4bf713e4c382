"""Models beside a run: each scored on the run's held-out text, with what it costs, and a verdict."""

import json
from collections.abc import Sequence
from typing import Any

from data.errors import DataError
from data.files import write_atomically
from data.progress import say
from data.shards.format import verify_held_out
from domainlm.already_read import AlreadyRead, HeldOutId, already_read
from domainlm.named_model import load_named, named_run, own_model
from domainlm.questions import answered_before
from domainlm.status.read import read_status
from domainlm.tasks import kept_figures
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
    compared = [] if first is None else [_compared(config, own, first, None, _training_cost(config), AlreadyRead())]
    held_out = [HeldOutId(each.split, each.document.id, each.document.date) for each in text.documents]
    for path in others:
        model = load_named(path, window=window, dtype=dtype)
        if model.name in (each.name for each in compared):
            raise ConfigError(f"{path}: there are two models of the name {model.name}: rename a folder")
        scored = _score(model, text, config, rule, shard)
        if scored is not None and first is not None:
            run = named_run(path)
            read = already_read(path, held_out)
            cost = _training_cost(run[0]) if run else {}
            compared.append(_compared(config, model, scored, first, cost, read))
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


def _compared(
    config: RunConfig,
    model: LanguageModel,
    scored: Scored,
    first: Scored | None,
    training: dict[str, Any],
    read: AlreadyRead,
) -> Compared:
    domain = {source.name for source in config.data.sources if source.domain}
    return Compared(
        name=model.name,
        figures=figures(scored, first, period=config.data.period, domain=domain, seed=config.seed),
        cost=training | _scoring_cost(config, scored),
        parameters=model.parameters,
        tasks=kept_figures(config, model.name, model.digest) | answered_before(config, model.digest),
        remarks=read.remarks,
        already_read=read.documents,
    )


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
        lines.append(f"  {cost['tokens_per_second']:,.0f} tokens/s on {cost['device']}")
        lines += [f"  note: {remark}" for remark in model["remarks"]]
    return "\n".join([*lines, "", result["verdict"]])
