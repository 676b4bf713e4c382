"""Questions made from a run's held-out documents, answered by its newest checkpoint and others, also with passages."""

import datetime
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from data.errors import DataError
from data.files import finished_digest, stage_digest, write_atomically
from data.progress import say
from domainlm.configuration import check_made_of_documents
from domainlm.measure.already_read import HeldOutId, already_read
from domainlm.measure.named_model import check_names, load_named, own_model
from domainlm.retrieval.index import index_folder, open_search
from evaluation.general_model import Dtype
from evaluation.language_model import LanguageModel
from evaluation.questions.answers import Answers, answer, tasks
from evaluation.questions.build import ITEMS, Questions, make_questions, of_kinds
from evaluation.questions.items import KINDS, Kind
from evaluation.questions.open_book import MASKED, WITHOUT, Found, OpenAnswers, answer_open, in_all, look_up, open_tasks
from evaluation.questions.ways import compare_ways
from train.checkpoints.folders import find_latest
from train.checkpoints.identity import check_data
from train.config import RunConfig
from train.config_file import ConfigError

FOLDER, ANSWERS, RESULT = "questions", "answers", "questions.json"
"""In reports/: the items, what each model answered, and its accuracies."""


@dataclass(frozen=True)
class _Asked:
    """A model's answers, and those with passages where it was given some; what to know of it."""

    closed: Answers
    opened: OpenAnswers | None
    remarks: Sequence[str]


class Before(NamedTuple):
    """What questions.json has of a model: its tasks' spans, and what passages change."""

    tasks: dict[str, dict[str, Any]]
    open_book: dict[str, Any] | None


def ask(
    config: RunConfig,
    others: Sequence[str],
    *,
    items: int = ITEMS,
    kinds: Sequence[Kind] = KINDS,
    passages: int | None = None,
    window: int | None = None,
    dtype: Dtype | None = None,
) -> dict[str, Any]:
    """Make the questions of a run's corpus and score the models on them; reports/questions.json.

    A run that has no checkpoint yet has no model to be asked: then the others are asked alone, which is said.

    Args:
        others: as `named_model.load_named` takes them.
        items: most of each of the kinds.
        passages: of the run's corpus before each question, at most, for answers beside those without; None for none.
        window, dtype: of models of transformers.

    Returns:
        {"corpus": its digest, "questions": summary.json of the items, "retrieval": {"passages", "method", "index": its
        digest} or None, "models": [{"name", "parameters", "digest", "tasks", "open_book": `open_book.in_all` or None,
        "remarks"}], "ways": `ways.compare_ways`}

    Raises:
        ConfigError: a name is of no model, or of two; there is no model at all; or the run is a fine-tuning.
        CheckpointError: shards and corpus are not those that the run was trained with.
        DataError: no documents are held out, all kinds of items are refused, or there is no index of the corpus.
    """
    check_made_of_documents(config, "questions")
    _check_anyone_is_asked(config, others)
    search = open_search(config) if passages else None  # what is wrong with it is said before all else
    questions = _questions(config, items, kinds, with_passages=search is not None)
    own = _own(config, others)
    models = [*own, *(load_named(path, window=window, dtype=dtype) for path in others)]
    if repeated := {name for name, count in Counter(model.name for model in models).items() if count > 1}:
        raise ConfigError(f"there are two models of the name {min(repeated)}: rename a folder")
    index = stage_digest(index_folder(config), "retrieve") if search else ""
    found = look_up(questions, search, passages, index) if search and passages else None
    held_out, answers = _documents(questions), config.reports / ANSWERS
    remarks = [*([()] * len(own)), *(already_read(path, held_out, config).remarks for path in others)]
    asked = []
    for model, of_model in zip(models, remarks, strict=True):
        closed = answer(model, questions, answers)
        asked.append(_Asked(closed, answer_open(closed, questions, found, answers) if found else None, of_model))
    result = {
        "corpus": stage_digest(config.corpus),
        "questions": questions.summary,
        "retrieval": {"passages": passages, "method": search.method, "index": index} if search else None,
        "models": [_figures(each, asked[0], found, questions, config.seed) for each in asked],
        "ways": compare_ways(
            [(each.closed, each.opened) for each in asked],
            list(found.passages if found else questions.items),
            questions,
            config.seed,
        ),
    }
    write_atomically(config.reports / RESULT, json.dumps(result, indent=1))
    return result


def _check_anyone_is_asked(config: RunConfig, others: Sequence[str]) -> None:
    check_names(others)
    if not others and find_latest(config.checkpoints) is None:
        raise ConfigError(
            f"{config.name} has no checkpoint yet, and no other model is named: train it, or name one, such as "
            "`demo://smollm2` or a folder"
        )


def _own(config: RunConfig, others: Sequence[str]) -> list[LanguageModel]:
    """The model of the run's newest checkpoint; none where it has none yet and others are asked."""
    if others and find_latest(config.checkpoints) is None:
        say(f"{config.name} has no checkpoint yet: only what is named beside it is asked")
        return []
    own, trained = own_model(config)
    check_data(trained.checkpoint, config)
    return [own]


def _questions(config: RunConfig, items: int, kinds: Sequence[Kind], *, with_passages: bool) -> Questions:
    """Those of the run's corpus. Raises DataError: none are left to ask, or none that are asked with passages."""
    made = make_questions(
        config.corpus,
        config.reports / FOLDER,
        domain={source.name for source in config.data.sources if source.domain},
        most=items,
        seed=config.seed,
        workers=config.data.workers,
    )
    questions = of_kinds(made, kinds)
    why = {kind: about["refused"] or WITHOUT.get(kind) for kind, about in questions.summary["kinds"].items()}
    reasons = "; ".join(f"{kind}: {reason}" for kind, reason in why.items())
    if not questions.items:
        raise DataError(f"{config.name}: no questions are left to ask: {reasons}: hold more text out")
    if with_passages and WITHOUT.keys() >= questions.items.keys():
        raise DataError(
            f"{config.name}: no questions are left that are asked with passages: {reasons}: hold more text out, ask "
            "other --kinds, or leave --retrieve out"
        )
    return questions


def _documents(questions: Questions) -> set[HeldOutId]:
    """Those that the answers are from."""
    return {
        HeldOutId(
            questions.summary["split"],
            item.document,
            datetime.date.fromisoformat(item.last_date) if item.last_date else None,
            item.source,
        )
        for items in questions.items.values()
        for item in items
    }


def _figures(asked: _Asked, first: _Asked, found: Found | None, questions: Questions, seed: int) -> dict[str, Any]:
    """Of a model, and beside the first one."""
    is_first = asked is first
    figures = tasks(asked.closed, None if is_first else first.closed, questions, seed)
    open_book = None
    if found and asked.opened:
        opened = open_tasks(asked.closed, asked.opened, None if is_first else first.opened, found, questions, seed)
        figures = {task: each | opened.get(task, {}) for task, each in figures.items()}
        open_book = in_all(asked.closed, asked.opened, found, questions, seed)
    model = asked.closed.model
    return {
        "name": model.name,
        "parameters": model.parameters,
        "digest": model.digest,
        "tasks": figures,
        "open_book": open_book,
        "remarks": list(asked.remarks),
    }


def answered_before(config: RunConfig, digest: str) -> Before:
    """What the run's questions.json has of a model, by the model's digest; nothing where it was not asked.

    Nor where the corpus is another one by now.
    """
    try:
        result = json.loads((config.reports / RESULT).read_bytes())
        if result["corpus"] != finished_digest(config.corpus):
            return Before({}, None)
        model = {each["digest"]: each for each in result["models"]}[digest]
        return Before({task: dict(_spans(each)) for task, each in model["tasks"].items()}, model.get("open_book"))
    except (OSError, ValueError, KeyError, TypeError):
        return Before({}, None)


def ways_before(config: RunConfig) -> dict[str, Any] | None:
    """The ways that the run's questions.json has; None where there are none, or the corpus is another one by now."""
    try:
        result = json.loads((config.reports / RESULT).read_bytes())
        return result.get("ways") if result["corpus"] == finished_digest(config.corpus) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _spans(task: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What of a task is {"value", "low", "high"}."""
    yield from ((name, value) for name, value in task.items() if isinstance(value, dict) and name != "sources")
    yield from ((f"accuracy of {source}", each) for source, each in task.get("sources", {}).items())


def describe(result: Mapping[str, Any]) -> str:
    """The table that a person reads: by kind what lots and counting have right, then each model, also with passages."""
    kinds, retrieval, models = result["questions"]["kinds"], result["retrieval"], result["models"]
    lines = [
        f"{'right answers':<32} {'items':>5} {'chance':>7} {'n-gram':>7}   "
        + "  ".join(f"{model['name'][:24]:<24}" for model in models)
    ]
    for kind, about in kinds.items():
        if about["refused"]:
            lines.append(f"{kind:<32} refused: {about['refused']}")
            continue
        of_models = [model["tasks"][f"questions/{kind}"] for model in models]
        ngram = about["before_thinning"].get("ngram")
        numbers = f"{about['items']:>5} {about['chance']:>7.0%} {_percent(ngram):>7}"
        lines.append(_line(kind, numbers, (_span(task["accuracy"]) for task in of_models)))
        lines += _with_passages(kind, of_models) if retrieval else []
    lines += [f"{model['name']}: {model['open_book']['verdict']}" for model in models if model["open_book"]]
    lines += _ways(result["ways"]) if result["ways"] else []
    lines += [f"note: {model['name']}: {remark}" for model in models for remark in model["remarks"]]
    split = "after the cutoff" if result["questions"]["split"] == "future" else "of the training text's time"
    return "\n".join(
        [*lines, f"made from held-out documents {split}; n-gram: before what it has right was thinned out"]
    )


def _ways(ways: Mapping[str, Any]) -> Iterator[str]:
    title = f"right of {ways['items']:,} questions: {', '.join(ways['kinds'])}"
    yield f"\n{title:<60} {'':<22}  {'less the first, points':<24}  nats of the right answer, less the first's"
    beside = {each["way"]: each for each in ways["differences"] if each["less"] == ways["ways"][0]["way"]}
    for way in ways["ways"]:
        found, less = beside.get(way["way"]), ""
        if found:
            less = f"{_points(found['difference']):<24}  {_nats(found['nats'])}"
        yield f"  {way['way']:<58} {_span(way['accuracy']):<22}  {less}".rstrip()
    yield f"{ways['verdict']}\n"


def _nats(figure: Mapping[str, Any]) -> str:
    ends = "" if figure["low"] is None else f" ({figure['low']:+.2f} to {figure['high']:+.2f})"
    return f"{figure['value']:+.2f}{ends}"


def _with_passages(kind: str, of_models: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if kind in WITHOUT:
        yield f"{'  with passages':<32} not asked: {WITHOUT[kind]}"
        return
    yield _line("  with passages", "", (_span(task["open_book"]) for task in of_models))
    yield _line("  that less without, points", "", (_points(task["open_less_closed"]) for task in of_models))
    shares = ((task["passages_found"]["value"], task["passages_shown"]["value"]) for task in of_models)
    yield _line(
        "  questions with a passage", "", (f"{found:.0%}, in the window {shown:.0%}" for found, shown in shares)
    )
    if kind in MASKED:
        said = ((task["right_in_passages"]["value"], task["wrong_in_passages"]["value"]) for task in of_models)
        yield _line("  which has the answer", "", (f"{right:.1%}, a wrong one {wrong:.1%}" for right, wrong in said))
        for label, where in (("  right where it has", "where_said"), ("  right where it has not", "elsewhere")):
            pairs = [(task.get(f"closed_{where}"), task.get(f"open_{where}")) for task in of_models]
            yield _line(
                label, "", (f"{_percent(closed)}, with passages {_percent(opened)}" for closed, opened in pairs)
            )


def _line(label: str, numbers: str, cells: Iterable[str]) -> str:
    return f"{label:<32} {numbers:<21}   {'  '.join(f'{cell:<24}' for cell in cells)}".rstrip()


def _percent(figure: Mapping[str, float] | None) -> str:
    return "–" if figure is None else f"{figure['value']:.0%}"


def _span(figure: Mapping[str, Any]) -> str:
    ends = "" if figure["low"] is None else f" ({figure['low']:.0%} to {figure['high']:.0%})"
    return f"{figure['value']:.1%}{ends}"


def _points(figure: Mapping[str, Any]) -> str:
    ends = "" if figure["low"] is None else f" ({100 * figure['low']:+.1f} to {100 * figure['high']:+.1f})"
    return f"{100 * figure['value']:+.1f}{ends}"
