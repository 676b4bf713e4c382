"""Questions made from a run's held-out documents, answered by its newest checkpoint and by other models."""

import datetime
import json
from collections.abc import Sequence
from typing import Any

from data.errors import DataError
from data.files import finished_digest, stage_digest, write_atomically
from domainlm.measure.already_read import HeldOutId, already_read
from domainlm.measure.named_model import load_named, own_model
from evaluation.general_model import Dtype
from evaluation.questions.answers import Answers, answer, tasks
from evaluation.questions.build import ITEMS, Questions, make_questions
from train.checkpoints.identity import check_data
from train.config import RunConfig
from train.config_file import ConfigError

FOLDER, ANSWERS, RESULT = "questions", "answers", "questions.json"
"""In reports/: the items, what each model answered, and its accuracies."""


def ask(
    config: RunConfig,
    others: Sequence[str],
    *,
    items: int = ITEMS,
    window: int | None = None,
    dtype: Dtype | None = None,
) -> dict[str, Any]:
    """Make the questions of a run's corpus and score the models on them; reports/questions.json.

    Args:
        others: as `named_model.load_named` takes them.
        items: most of each kind.
        window, dtype: of models of transformers.

    Returns:
        {"corpus": its digest, "questions": summary.json of the items, "models": [{"name", "parameters", "digest",
        "tasks", "remarks"}]}

    Raises:
        ConfigError: a name is of no model, or two models have one name.
        CheckpointError: the run has none, or shards and corpus are not those that it was trained with.
        DataError: no documents are held out, or all kinds of items are refused.
    """
    domain = {source.name for source in config.data.sources if source.domain}
    questions = make_questions(
        config.corpus,
        config.reports / FOLDER,
        domain=domain,
        most=items,
        seed=config.seed,
        workers=config.data.workers,
    )
    if not questions.items:
        reasons = "; ".join(f"{kind}: {about['refused']}" for kind, about in questions.summary["kinds"].items())
        raise DataError(f"{config.name}: no questions are left to ask: {reasons}: hold more text out")
    own, trained = own_model(config)
    check_data(trained.checkpoint, config)
    answered: list[Answers] = []
    for model in [own, *(load_named(path, window=window, dtype=dtype) for path in others)]:
        if model.name in (each.model.name for each in answered):
            raise ConfigError(f"there are two models of the name {model.name}: rename a folder")
        answered.append(answer(model, questions, config.reports / ANSWERS))
    held_out = _documents(questions)
    remarks = [(), *(already_read(path, held_out).remarks for path in others)]
    result = {
        "corpus": stage_digest(config.corpus),
        "questions": questions.summary,
        "models": _models(answered, questions, remarks, config.seed),
    }
    write_atomically(config.reports / RESULT, json.dumps(result, indent=1))
    return result


def _documents(questions: Questions) -> set[HeldOutId]:
    """Those that the answers are from."""
    return {
        HeldOutId(
            questions.summary["split"], item.document, datetime.date.fromisoformat(item.date) if item.date else None
        )
        for items in questions.items.values()
        for item in items
    }


def _models(
    answered: Sequence[Answers], questions: Questions, remarks: Sequence[Sequence[str]], seed: int
) -> list[dict[str, Any]]:
    return [
        {
            "name": each.model.name,
            "parameters": each.model.parameters,
            "digest": each.model.digest,
            "tasks": tasks(each, None if each is answered[0] else answered[0], questions, seed),
            "remarks": list(of_model),
        }
        for each, of_model in zip(answered, remarks, strict=True)
    ]


def answered_before(config: RunConfig, digest: str) -> dict[str, Any]:
    """The tasks of a model in the run's questions.json, by the model's digest; none where it was not asked.

    Nor where the corpus is another one by now.
    """
    try:
        result = json.loads((config.reports / RESULT).read_bytes())
        is_old = result["corpus"] != finished_digest(config.corpus)
        return {} if is_old else {each["digest"]: each["tasks"] for each in result["models"]}.get(digest, {})
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def describe(result: dict[str, Any]) -> str:
    """The table that a person reads: by kind what lots and counting have right, then each model."""
    kinds = result["questions"]["kinds"]
    lines = [
        f"{'right answers':<32} {'items':>5} {'chance':>7} {'n-gram':>7}   "
        + "  ".join(f"{model['name'][:24]:<24}" for model in result["models"])
    ]
    for kind, about in kinds.items():
        if about["refused"]:
            lines.append(f"{kind:<32} refused: {about['refused']}")
            continue
        ngram = about["before_thinning"].get("ngram")
        cells = "  ".join(f"{_span(model['tasks'][f'questions/{kind}']):<24}" for model in result["models"])
        lines.append(f"{kind:<32} {about['items']:>5} {about['chance']:>7.0%} {_percent(ngram):>7}   {cells}")
    lines += [f"note: {model['name']}: {remark}" for model in result["models"] for remark in model["remarks"]]
    split = "after the cutoff" if result["questions"]["split"] == "future" else "of the training text's time"
    return "\n".join(
        [*lines, f"made from held-out documents {split}; n-gram: before what it has right was thinned out"]
    )


def _percent(figure: dict[str, float] | None) -> str:
    return "–" if figure is None else f"{figure['value']:.0%}"


def _span(task: dict[str, Any]) -> str:
    own = task["accuracy"]
    ends = "" if own["low"] is None else f" ({own['low']:.0%} to {own['high']:.0%})"
    return f"{own['value']:.1%}{ends}"
