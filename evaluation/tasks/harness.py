"""Tasks of lm-eval, found by name or in YAML files, and a model's answers to their items.

lm-eval is an extra. Nothing is fetched unless that is asked for. What lm-eval only warns of, or counts as a wrong
answer without a word, is an error here: items without an answer, data that are not there.
"""

import contextlib
import difflib
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import DataError
from data.files import value_digest
from data.progress import say
from evaluation.language_model import LanguageModel

OWN = Path(__file__).parent
"""Tasks that come with this project."""
INSTALL = "tasks are scored by lm-eval, which is not installed: pip install 'domainlm[tasks]'"
OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")
Aggregate = Callable[[Sequence[Any]], float]


@dataclass(frozen=True)
class LoadedTask:
    """A task and its items.

    Attributes:
        task: lm-eval's.
        limit: first items that are asked; None for all.
        seed: by which examples are drawn that stand before a question.
        digest: of all that is asked: prompts, continuations, answers, metrics.
        items: the records, in order.
    """

    name: str
    task: Any
    limit: int | None
    seed: int
    digest: str
    items: list[dict[str, Any]]

    @property
    def aggregates(self) -> dict[str, Aggregate]:
        """By metric, what makes one figure of its values of all items."""
        return dict(self.task.aggregation())


@dataclass(frozen=True)
class Answered:
    """Answers of a model: for each item its record, what was asked and answered, and the value of each metric."""

    task: LoadedTask
    answers: list[dict[str, Any]]


def load_tasks(
    names: Sequence[str],
    *,
    seed: int,
    limit: int | None = None,
    places: Mapping[str, str] | None = None,
    fetch: bool = False,
) -> list[LoadedTask]:
    """Find tasks and read their items.

    Args:
        names: lm-eval's or ours, of tasks or groups; YAML files; folders of these, for all that is in them.
        places: where data of a task are, a local path or a hub id, for tasks that ask for it.
        fetch: whether what is not in the caches of this machine is fetched from the hub.

    Raises:
        DataError: lm-eval is not installed, there is no such task, its data are missing, or items have no answer.
    """
    _choose_network(fetch)
    try:
        from lm_eval.tasks import TaskManager
    except ImportError:
        raise DataError(INSTALL) from None

    paths = [Path(name) for name in names if Path(name).exists()]
    folders = [OWN, *dict.fromkeys(path if path.is_dir() else path.parent for path in paths)]
    metadata: dict[str, Any] = {"places": dict(places or {})}
    known = TaskManager(include_path=folders, include_defaults=False, metadata=metadata)
    wanted = [each for name in names for each in _named(name, known.all_subtasks, known.task_index)]
    if any(name not in known.all_tasks for name in wanted):
        say("looking through lm-eval's tasks")
        known = TaskManager(include_path=folders, metadata=metadata)
    for name in wanted:
        if name not in known.all_tasks:
            close = difflib.get_close_matches(name, known.all_tasks, n=3)
            raise DataError(
                f"there is no task {name!r}{': did you mean ' + ' or '.join(close) + '?' if close else ''} (lm-eval's "
                "names, those of the tasks that come with domainlm, a YAML file, or a folder of these)"
            )
    tasks = {found: task for name in wanted for found, task in _load(known, name).items()}
    return [_read(name, task, limit, seed) for name, task in tasks.items()]


def _choose_network(fetch: bool) -> None:
    """The libraries read this once, when they are loaded first; where they are already, their own copy of it too."""
    import sys

    for name in OFFLINE:
        os.environ[name] = str(int(not fetch))
    for module, name in (("huggingface_hub.constants", OFFLINE[0]), ("datasets.config", OFFLINE[0])):
        if loaded := sys.modules.get(module):
            setattr(loaded, name, not fetch)


def _named(name: str, known: Sequence[str], index: Mapping[str, Any]) -> list[str]:
    """The tasks of a name as it is given: of a file or folder those that are in it."""
    place = Path(name).resolve()
    if name in known or not place.exists():
        return [name]
    found = [
        task
        for task in known
        if (file := index[task].yaml_path) and (file.resolve() == place or place in file.resolve().parents)
    ]
    if not found:
        raise DataError(f"{name}: there is no task in it: a YAML file of one names itself with `task:`")
    return found


def _load(known: Any, name: str) -> dict[str, Any]:
    try:
        with _quiet():
            tasks: dict[str, Any] = known.load([name])["tasks"]
    except DataError as error:  # of our own loader
        raise DataError(f"task {name}: {error}") from None
    except Exception as error:  # of many kinds: datasets', huggingface_hub's, a task's own code
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(
            f"task {name}: it cannot be loaded: {said[0][:300]} (data that are not on this machine are fetched with "
            "--fetch, where there is a network; evaluation.task_data says where others are)"
        ) from None
    return tasks


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without lm-eval's progress bars; warnings go to its log, which is shown from errors on."""
    import logging

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    with contextlib.redirect_stderr(io.StringIO()):
        yield


def _read(name: str, task: Any, limit: int | None, seed: int) -> LoadedTask:
    items = [dict(item) for _, item in task.doc_iterator(limit=limit)]
    if not items:
        raise DataError(f"task {name}: it has no items")
    lacking = [number for number, item in enumerate(items) if not _has_answer(task, item)]
    if lacking:
        raise DataError(
            f"task {name}: {len(lacking):,} of {len(items):,} items have no answer, number {lacking[0]} first: "
            f"{_short(items[lacking[0]])}: choose a split that has answers (test_split), as others keep theirs secret"
        )
    with _quiet():
        task.set_fewshot_seed(seed)
        task.build_all_requests(limit=limit)
    asked = [[str(argument) for argument in instance.args] for instance in task.instances]
    answers = [str(task.doc_to_target(item)) for item in items]
    digest = value_digest([asked, answers, sorted(task.aggregation())])
    return LoadedTask(name, task, limit, seed, digest, items)


def _has_answer(task: Any, item: dict[str, Any]) -> bool:
    """Whether an item says what is right; of choices, which."""
    try:
        target = task.doc_to_target(item)
        choices = task.doc_to_choice(item) if task.OUTPUT_TYPE == "multiple_choice" else None
    except Exception:  # of a template that finds a field empty or missing
        return False
    if choices is None or task.multiple_input:
        return target is not None and target != "" and target != []
    right = target if isinstance(target, list) else [target]
    return bool(right) and all(
        each in choices if isinstance(each, str) else isinstance(each, int) and 0 <= each < len(choices)
        for each in right
    )


def _short(item: dict[str, Any]) -> str:
    return json.dumps(item, default=str, ensure_ascii=False)[:160]


def answer(model: LanguageModel, loaded: LoadedTask) -> Answered:
    """Ask a model all items of a task.

    Raises:
        DataError: an item does not fit into the model's window, or the task asks for what is not done here.
    """
    from lm_eval.evaluator import evaluate

    from evaluation.tasks.adapter import Adapter

    loaded.task.set_fewshot_seed(loaded.seed)  # examples are drawn anew, the same for every model
    with _quiet_log():
        try:
            results = evaluate(
                Adapter(model), {"tasks": {loaded.name: loaded.task}}, limit=loaded.limit, bootstrap_iters=0
            )
        except (ValueError, TypeError, KeyError) as error:  # of a metric that does not go with the items
            raise DataError(f"task {loaded.name}: lm-eval cannot score it: {str(error).strip()[:300]}") from error
    answers: dict[int, dict[str, Any]] = {}
    for sample in results["samples"][loaded.name]:
        item = answers.setdefault(
            sample["doc_id"],
            {
                "item": sample["doc_id"],
                "record": sample["doc"],
                "right": sample["target"],
                "asked": [list(arguments) for arguments in sample["arguments"]],
                "answered": sample["resps"],
                "values": {},
            },
        )
        several = len(loaded.task._filters) > 1
        for metric in sample["metrics"]:
            name = f"{metric},{sample['filter']}" if several else metric
            item["values"][name] = sample[metric]
    return Answered(loaded, [plain(answers[number]) for number in sorted(answers)])


@contextlib.contextmanager
def _quiet_log() -> Iterator[None]:
    import logging

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    yield


def plain(value: Any) -> Any:
    """A value as JSON gives it back, so that what was kept and what was just measured are the same."""
    return json.loads(
        json.dumps(value, default=lambda other: other.tolist() if hasattr(other, "tolist") else str(other))
    )
