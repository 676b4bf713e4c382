"""Labelled tasks: a run's model and others answer them, with intervals, and what the training text had of them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data.errors import DataError
from data.files import read_object, stage_digest, value_digest, write_atomically
from domainlm.measure.named_model import check_names, load_named, named_run, own_model
from domainlm.trace import steps_of_documents
from evaluation.figures import spans
from evaluation.general_model import Dtype
from evaluation.language_model import LanguageModel
from evaluation.tasks.answers import FOLDER, ask
from evaluation.tasks.contamination import Contamination, Touch, find_contamination
from evaluation.tasks.figures import task_figures
from evaluation.tasks.harness import Answered, LoadedTask, load_tasks
from train.checkpoints.folders import Checkpoint, CheckpointError, find_checkpoint
from train.checkpoints.identity import check_data
from train.config import RunConfig
from train.config_file import ConfigError

UNKNOWN_TEXT = "what it was trained on is not known here: it may have read the items"
RESULT = "tasks.json"


def score_tasks(
    config: RunConfig,
    names: Sequence[str],
    *,
    models: Sequence[str] = (),
    limit: int | None = None,
    fetch: bool = False,
    window: int | None = None,
    dtype: Dtype | None = None,
) -> dict[str, Any]:
    """Ask the run's newest checkpoint, and other models, the items of tasks; reports/tasks.json.

    Args:
        names: as `harness.load_tasks` takes them; none for those of `evaluation.tasks`.
        models: as `named_model.load_named` takes them.
        limit: first items of each task that are asked.
        fetch: whether data that are missing are fetched.
        window, dtype: of models of transformers.

    Raises:
        ConfigError: no task is named, a name is of no model, or two models have one name.
        CheckpointError: the run has no checkpoint.
        DataError: there is no such task, its data are missing, or items have no answer.
    """
    wanted = names or config.evaluation.tasks
    if not wanted:
        raise ConfigError("no task is named: name some, or set evaluation.tasks")
    check_names(models)
    tasks = load_tasks(wanted, seed=config.seed, limit=limit, places=config.evaluation.task_data, fetch=fetch)
    own, trained = own_model(config)
    first = [ask(own, task, config.reports / FOLDER) for task in tasks]
    measured = [_figures_of(config, own, (config, trained.checkpoint), first, None)]
    for path in models:
        model, run = load_named(path, window=window, dtype=dtype), named_run(path)
        if model.name in (each["name"] for each in measured):
            raise ConfigError(f"{path}: there are two models of the name {model.name}: rename a folder")
        answers = [ask(model, task, config.reports / FOLDER) for task in tasks]
        seen = (run[0], find_checkpoint(*run)) if run else None
        measured.append(_figures_of(config, model, seen, answers, first))
    result = {"models": _merged(config.reports / RESULT, measured)}
    write_atomically(config.reports / RESULT, json.dumps(result, indent=1))
    return {"models": measured}


def _figures_of(
    config: RunConfig,
    model: LanguageModel,
    run: tuple[RunConfig, Checkpoint] | None,
    answers: Sequence[tuple[Answered, Path]],
    beside: Sequence[tuple[Answered, Path]] | None,
) -> dict[str, Any]:
    """What tasks.json has of a model.

    Args:
        run: that it is of, and the checkpoint.
    """
    others = [answered for answered, _ in beside] if beside else [None] * len(answers)
    tasks = [answered.task for answered, _ in answers]
    touched, remarks = _contamination(*run, tasks) if run else ({}, [UNKNOWN_TEXT])
    return {
        "name": model.name,
        "digest": model.digest,
        "tasks": {
            answered.task.name: task_figures(answered, other, seed=config.seed)
            for (answered, _), other in zip(answers, others, strict=True)
        },
        "contamination": {
            answered.task.name: _apart(answered, *touched[answered.task.name], config.seed)
            for answered, _ in answers
            if answered.task.name in touched
        },
        "answers": {answered.task.name: str(file) for answered, file in answers},
        "remarks": remarks,
    }


def _contamination(
    config: RunConfig, checkpoint: Checkpoint, tasks: Sequence[LoadedTask]
) -> tuple[dict[str, tuple[Contamination, dict[str, list[int]]]], list[str]]:
    """By task, what stands in the run's training text and the steps that saw it; or why that is not known."""
    try:
        check_data(checkpoint, config)
        corpus = stage_digest(config.corpus)
    except (DataError, CheckpointError) as error:
        return {}, [f"whether items stand in its training text is not known: {error}"]
    cleaning = config.data.cleaning
    key = value_digest([corpus, cleaning.model_dump(mode="json"), [[task.name, task.digest] for task in tasks]])
    file = config.reports / FOLDER / f"contamination-{key[:16]}.json"
    if file.exists():
        kept = read_object(file)
        found = {
            name: Contamination(tuple(Touch(a, b, tuple(c)) for a, b, c in touches), too_short)
            for name, (touches, too_short) in kept.items()
        }
    else:
        found = find_contamination(tasks, config.corpus, cleaning)
        content = {
            name: [[[each.source, each.document, each.items] for each in one.touches], one.too_short]
            for name, one in found.items()
        }
        write_atomically(file, json.dumps(content))
    documents = sorted({touch.document for one in found.values() for touch in one.touches})
    steps = steps_of_documents(config, documents, checkpoint.step) if documents else {}
    return {name: (one, steps) for name, one in found.items()}, []


def _apart(answered: Answered, found: Contamination, steps: Mapping[str, list[int]], seed: int) -> dict[str, Any]:
    """Shares, documents and steps, and the figures of touched and of other items apart.

    An item is touched when a document that has words of it was read before the checkpoint.
    """
    read = [touch for touch in found.touches if steps[touch.document]]
    touched = sorted({item for touch in read for item in touch.items})
    items = len(answered.answers)
    clean = sorted(set(range(items)) - set(touched))
    return {
        "items": items,
        "too_short": found.too_short,
        "touched": len(touched),
        "share": len(touched) / items,
        "documents": [
            {
                "source": touch.source,
                "id": touch.document,
                "items": list(touch.items),
                "first_step": steps[touch.document][0],
                "last_step": steps[touch.document][-1],
                "batches": len(steps[touch.document]),
            }
            for touch in read
        ],
        "unread_documents": len(found.touches) - len(read),
        "of_touched": task_figures(answered, chosen=touched, seed=seed),
        "of_others": task_figures(answered, chosen=clean, seed=seed),
    }


def _merged(file: Path, measured: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """With what was measured of the same models before; what differs in a digest is of another model."""
    before = {(each["name"], each["digest"]): each for each in _kept(file)}
    merged = []
    for model in measured:
        earlier = before.pop((model["name"], model["digest"]), {})
        kept = {key: earlier.get(key, {}) | model[key] for key in ("tasks", "contamination", "answers")}
        merged.append(model | kept)
    names = {model["name"] for model in measured}
    return merged + [model for (name, _), model in before.items() if name not in names]


def kept_figures(config: RunConfig, name: str, digest: str) -> dict[str, Any]:
    """What tasks.json has of the tasks of a model; empty where none were scored."""
    for model in _kept(config.reports / RESULT):
        if (model["name"], model["digest"]) == (name, digest):
            return dict(model["tasks"])
    return {}


def _kept(file: Path) -> list[dict[str, Any]]:
    try:
        models: list[dict[str, Any]] = json.loads(file.read_text("utf-8"))["models"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return []
    return models


def describe(result: Mapping[str, Any]) -> str:
    """The table that a person reads."""
    lines = [f"{'task, metric':<44} {'value':>8}   95 % interval       difference from the first"]
    for model in result["models"]:
        lines.append(model["name"])
        for task, metrics in model["tasks"].items():
            for metric, figure in metrics.items():
                lines.append(f"  {f'{task}, {metric}':<42} {figure['value']:>8.3f}   {spans(figure)}")
            if contamination := model["contamination"].get(task):
                lines += _describe_contamination(contamination)
        lines += [f"  note: {remark}" for remark in model["remarks"]]
    return "\n".join(lines)


def _describe_contamination(contamination: Mapping[str, Any]) -> list[str]:
    documents = contamination["documents"]
    if not documents:
        return [f"    none of {contamination['items']:,} items stands in what it has read"]
    first = min(document["first_step"] for document in documents)
    lines = [
        f"    {contamination['touched']:,} of {contamination['items']:,} items ({contamination['share']:.1%}) share "
        f"words in a row with {len(documents):,} documents that it has read, first in step {first}"
    ]
    for name, figures in (("touched", "of_touched"), ("others", "of_others")):
        cells = (f"{metric} {figure['value']:.3f}" for metric, figure in contamination[figures].items())
        lines.append(f"    {name}: {', '.join(cells) or 'none'}")
    return lines
