"""Tasks of YAML files: found or refused by name, answered, kept, and with intervals that are right."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.config import CleaningConfig
from data.errors import DataError

pytest.importorskip("lm_eval")

from evaluation.continuations import Request, Scored
from evaluation.language_model import LanguageModel
from evaluation.tasks.answers import ask
from evaluation.tasks.contamination import find_contamination
from evaluation.tasks.figures import task_figures
from evaluation.tasks.harness import answer, load_tasks

TASK = """
task: {name}
custom_dataset: !function evaluation.tasks.records.load
dataset_kwargs: {{place: {file}}}
output_type: multiple_choice
test_split: test
doc_to_text: "{{{{question}}}}"
doc_to_target: label
doc_to_choice: ["low", "high", "the same"]
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
  - {{metric: f1, aggregation: !function evaluation.tasks.scoring.weighted_f1, higher_is_better: true}}
"""


def write_task(folder: Path, items: list[dict[str, Any]], name: str = "rates") -> Path:
    """A YAML file of a task on these items."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    (folder / f"{name}.yaml").write_text(TASK.format(name=name, file=folder / f"{name}.jsonl"))
    return folder / f"{name}.yaml"


def items(count: int) -> list[dict[str, Any]]:
    return [{"question": f"Question {number}: where is the rate?", "label": number % 2} for number in range(count)]


def chooser(name: str, chosen: Callable[[str], int]) -> LanguageModel:
    """A model that says of each question which choice is the likeliest: letters are its ids."""

    def losses(requests: list[Request]) -> list[Scored]:
        found = []
        for prefix, continuation in requests:
            text, choice = ("".join(map(chr, ids)) for ids in (prefix[1:], continuation))
            right = choice == f" {('low', 'high', 'the same')[chosen(text)]}"
            found.append(Scored(1.0 if right else 2.0, right))
        return found

    return LanguageModel(
        name=name,
        digest=name,
        parameters=1,
        window=1000,
        encode=lambda text: [0, *map(ord, text)],
        decode=lambda ids: "".join(map(chr, ids)),
        token_losses=lambda inputs, targets: np.zeros(inputs.shape),
        batch_tokens=1000,
        device="cpu, float32",
        continuation_losses=losses,
    )


def number_of(text: str) -> int:
    return int(text.split()[1].rstrip(":"))


def test_f1_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import f1_score

    from evaluation.tasks.scoring import entity_f1, mean_of_groups, weighted_f1

    random = np.random.default_rng(0)
    for classes in (2, 3, 7):
        right, chosen = random.integers(0, classes, (2, 50)).tolist()
        pairs = list(zip(right, chosen, strict=True))
        assert weighted_f1(pairs) == pytest.approx(f1_score(right, chosen, average="weighted", zero_division=0))
        halves = [(*pair, "a" if place < 25 else "b") for place, pair in enumerate(pairs)]
        assert mean_of_groups(halves) == pytest.approx((weighted_f1(pairs[:25]) + weighted_f1(pairs[25:])) / 2)
    assert (
        entity_f1([(["A (person)", "B (place)"], ["A (person)"]), (["C (place)"], ["C (place)", "C (place)"])]) == 4 / 6
    )


SENTENCES = {"fpb": "negative", "fiqa_sa": "positive", "headline": "Yes", "fomc_stance": "hawkish"}


def test_the_finance_suite_as_published(tmp_path: Path) -> None:
    """Prompts, examples and the three ways, on data of the same form."""
    for name, label in SENTENCES.items():
        record = {"target": "ACME", "tag": "price up", "question": "is the price up", "label": label}
        for split, count in (("train", 9), ("test", 6)):
            lines = [json.dumps(record | {"sentence": f"{split} {number}."}) for number in range(count)]
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / f"{split}.jsonl").write_text("\n".join(lines))
    names = {"ner": ["A (person)", "B (place)"], "convfinqa": None, "financebench_retrieval": None}
    for name in names:
        (tmp_path / name).mkdir()
    entities = [json.dumps({"sentence": f"A in B {number}.", "entities": names["ner"]}) for number in range(30)]
    for split in ("train", "test"):
        (tmp_path / "ner" / f"{split}.jsonl").write_text("\n".join(entities))
    turns = {
        "context": "A table.",
        "turns": [{"question": "what was it", "answer": "3"}],
        "question": "and then",
        "answer": "4",
    }
    (tmp_path / "convfinqa" / "test.jsonl").write_text(json.dumps(turns))
    passages = {"question": "What is it?", "passages": ["One.", "Two."], "label": 1}
    (tmp_path / "financebench_retrieval" / "test.jsonl").write_text(json.dumps(passages))
    places = {name: str(tmp_path / name) for name in (*SENTENCES, *names)}
    loaded = {task.name: task for task in load_tasks(list(places), seed=3, places=places)}
    assert set(loaded) == set(places)

    def asked(name: str) -> list[str]:
        return list(loaded[name].task.instances[0].args[:1]) + [each.args[1] for each in loaded[name].task.instances]

    prompt, *choices = asked("fpb")
    assert prompt.endswith("test 0.\nQuestion: what is the sentiment?\nAnswer:")
    assert prompt.count("\nAnswer: negative\n\n") == 5
    assert choices[:6] == [" negative", " neutral", " positive"] * 2
    assert [each.args[0] for each in loaded["fpb"].task.instances[3:6]] == ["Answer:"] * 3
    assert "Question: what is the sentiment on ACME?\nAnswer: positive" in asked("fiqa_sa")[0]
    assert asked("headline")[0].endswith("Question: is the price up?\nAnswer:")
    assert asked("ner")[0].count("Extract named entity: A (person), B (place)\n\n") == 20
    assert asked("convfinqa")[0] == "A table.\nQuestion: what was it?\nAnswer: 3\nQuestion: and then?\nAnswer:"
    assert [each.args for each in loaded["financebench_retrieval"].task.instances] == [
        ("One.", "\nQuestion: What is it?"),
        ("Two.", "\nQuestion: What is it?"),
    ]
    figures = task_figures(answer(chooser("any", lambda text: 0), loaded["fpb"]))
    assert set(figures) == {"f1_probability", "f1_calibrated", "f1_normalised"}
    figures = task_figures(answer(chooser("any", lambda text: 0), loaded["headline"]))
    assert set(figures) == {"f1_probability", "f1_calibrated", "f1_normalised"}
    written = chooser("writes", lambda text: 0)
    object.__setattr__(written, "write", lambda prefix, most, ended: [*map(ord, " A (person), C (place)\n")])
    figures = task_figures(answer(written, loaded["ner"]))
    assert figures["entity_f1"]["value"] == 0.5
    object.__setattr__(written, "write", lambda prefix, most, ended: [*map(ord, " 4\n")])
    assert task_figures(answer(written, loaded["convfinqa"]))["exact_match"]["value"] == 1
    with pytest.raises(DataError, match=r"task fpb: .* set evaluation.task_data to \{fpb: FILE, FOLDER or hub id\}"):
        load_tasks(["fpb"], seed=3)


def test_answers_are_scored_and_kept(tmp_path: Path) -> None:
    (task,) = load_tasks([str(write_task(tmp_path / "tasks", items(40)))], seed=1)
    often = chooser("often", lambda text: number_of(text) % 2 if number_of(text) % 4 else 2)
    never = chooser("never", lambda text: 1 - number_of(text) % 2)
    answered, file = ask(often, task, tmp_path / "answers")
    other = answer(never, task)
    figures = task_figures(answered, other)
    assert figures["acc"]["value"] == 0.75
    assert figures["acc"]["items"] == 40
    assert figures["acc"]["low"] == pytest.approx(0.75 - 1.96 * (0.75 * 0.25 / 40) ** 0.5, abs=0.04)
    assert figures["acc"]["difference"]["value"] == 0.75
    assert 0.5 < figures["acc"]["difference"]["low"] < 0.75 < figures["acc"]["difference"]["high"] < 1
    assert set(figures) == {"acc", "f1"}
    head, *lines = (json.loads(line) for line in file.read_text().splitlines())
    assert head["task"] == "rates"
    assert len(lines) == 40
    assert lines[3]["record"] == items(40)[3]
    assert lines[3]["values"]["acc"] == 1.0
    assert lines[3]["asked"][1] == ["Question 3: where is the rate?", " high"]
    assert answered.answers == answer(often, task).answers
    refuses = chooser("often", lambda text: 1 // 0)
    assert ask(refuses, task, tmp_path / "answers")[0].answers == answered.answers, "kept answers are not asked again"
    (fewer,) = load_tasks([str(tmp_path / "tasks")], seed=1, limit=8)
    assert len(ask(often, fewer, tmp_path / "answers")[0].answers) == 8
    assert task_figures(ask(often, fewer, tmp_path / "answers")[0], chosen=[0, 1])["acc"]["low"] is None


def test_intervals_hold_the_truth() -> None:
    """Of tasks of 100 items that a model answers rightly with a known chance."""
    from types import SimpleNamespace

    random, inside = np.random.default_rng(0), 0

    def mean(values: list[float]) -> float:
        return sum(values) / len(values)

    for _ in range(300):
        answers = [{"values": {"acc": float(right)}} for right in random.random(100) < 0.7]
        answered = SimpleNamespace(answers=answers, task=SimpleNamespace(aggregates={"acc": mean}))
        figure = task_figures(answered)["acc"]  # type: ignore[arg-type]
        inside += figure["low"] <= 0.7 <= figure["high"]
    assert 0.92 <= inside / 300 <= 0.98


@pytest.mark.slow
def test_an_unknown_name_is_answered_by_those_close_to_it(tmp_path: Path) -> None:
    """All of lm-eval's are looked through, which takes a quarter of a minute."""
    with pytest.raises(DataError, match=r"there is no task 'arc_eazy': did you mean arc_easy"):
        load_tasks(["arc_eazy", str(write_task(tmp_path / "tasks", items(4)))], seed=1)


def test_what_is_missing_is_said_in_one_line(tmp_path: Path) -> None:
    file = write_task(tmp_path / "tasks", items(4))
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match="there is no task in it"):
        load_tasks([str(tmp_path / "nothing")], seed=1)
    (tmp_path / "tasks" / "rates.jsonl").unlink()
    with pytest.raises(DataError, match=r"task rates: there is nothing at .*rates.jsonl"):
        load_tasks([str(file)], seed=1)
    for label in (-1, 3, None):
        file = write_task(tmp_path / "tasks", [*items(4), {"question": "Question 4", "label": label}])
        with pytest.raises(DataError, match=r"task rates: 1 of 5 items have no answer, number 4 first: .*Question 4"):
            load_tasks([str(file)], seed=1)


def test_items_in_training_text_are_found(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    words = [f"word{number}" for number in range(15)]
    asked = [
        {"question": " ".join(words), "label": 0},
        {"question": " ".join(f"x{word}" for word in words), "label": 1},
        {"question": " ".join(f"common{word}" for word in words), "label": 1},
        {"question": "too short", "label": 1},
    ]
    (task,) = load_tasks([str(write_task(tmp_path / "tasks", asked))], seed=1)
    texts = ["nothing of it", "He said: " + ", ".join(words[:13]).upper() + "."]
    texts += [asked[2]["question"] + f" {number}" for number in range(11)]
    folder = tmp_path / "corpus" / "train" / "news"
    folder.mkdir(parents=True)
    ids = [f"d{number}" for number in range(len(texts))]
    pq.write_table(pa.table({"id": ids, "text": texts}), folder / "0.parquet")
    found = find_contamination([task], tmp_path / "corpus", CleaningConfig())["rates"]
    assert [(touch.source, touch.document, touch.items) for touch in found.touches] == [("news", "d1", (0,))]
    assert found.too_short == 1
