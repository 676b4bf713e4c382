"""The whole path by the command line: examples of training documents, fine-tuning on them, and the ways compared."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from domainlm.measure.examples import describe
from evaluation.figures import as_json
from evaluation.intervals import ratio_interval
from tests.launched.runs import run_to_the_end
from train.config import CHECKOUT, RunConfig, to_yaml
from train.config_file import load_config

CommandLine = Callable[..., tuple[int, str, str]]


@pytest.fixture
def base(undisturbed: RunConfig, tmp_path: Path) -> Path:
    """The configuration of a trained run of its own data, with a section that says what to learn from."""
    folder = tmp_path / "run"
    shutil.copytree(undisturbed.run_folder, folder)
    shutil.copytree(undisturbed.data_folder, tmp_path / "data")
    finetune = {
        "name": "asked",
        "examples": [{"name": "questions", "path": str(tmp_path / "examples" / "questions.jsonl"), "form": "pairs"}],
        "template": str(CHECKOUT / "configs" / "continuation.jinja"),
        "sequence_length": 200,  # the base is an ALiBi model of 32
        "batch_size": 4,
        "micro_batch": 2,
        "steps": 3,
        "learning_rate": 1e-2,
    }
    content = undisturbed.model_dump(mode="json") | {"folder": str(folder), "finetune": finetune}
    content["data"]["folder"] = str(tmp_path / "data")
    content["retrieval"] = {"passage_words": 20}
    file = tmp_path / "asked.yaml"
    file.write_text(to_yaml(RunConfig.model_validate(content)), "utf-8")
    return file


def test_a_model_is_fine_tuned_on_questions_and_set_beside_its_base(
    base: Path, command_line: CommandLine, tmp_path: Path
) -> None:
    examples = tmp_path / "examples" / "questions.jsonl"
    words = ("questions", base, "--examples", examples, "--items", "20", "--since", "2005-01-01", "--retrieve", "2")
    code, _, said = command_line(*words)
    assert (code, examples.exists()) == (2, False)
    assert "is no finished index of the corpus: run `domainlm retrieve CONFIG`" in said
    assert command_line("retrieve", base)[0] == 0
    code, shown, said = command_line(*words)
    assert code == 0, said
    records = [json.loads(line) for line in examples.read_text("utf-8").splitlines()]
    assert f"{len(records)} examples of " in shown
    config = load_config(base)
    held_out = {
        text
        for split in ("past", "future")
        for file in (config.corpus / split).rglob("*.parquet")
        for text in pq.read_table(file)["text"].to_pylist()
    }
    trained = set(pq.read_table(next((config.corpus / "train" / "news").glob("*.parquet")))["id"].to_pylist())
    assert held_out
    for record in records:
        assert {record["document"], *record["passages"]} <= trained
        assert "2005" <= record["date"] < "2017"
        sentence = record["response"].strip().split("\n\n")[0]
        assert record["kind"] != "next_sentence" or not any(sentence in text for text in held_out)
    code, shown, said = command_line("finetune", base, "--prepare")
    assert code == 0, said
    assert "⟧" in shown
    tuned = config.run_folder / "finetune" / "asked"
    run_to_the_end(tuned / "config.yaml")
    code, shown, said = command_line("questions", base, tuned, "--items", "24", "--retrieve", "2")
    assert code == 0, said
    _check_ways(json.loads((config.reports / "questions.json").read_bytes())["ways"], shown, config)
    code, _, said = command_line("compare", base, tuned)
    assert code == 0, said
    page = (config.reports / "compare.html").read_text("utf-8")
    assert "The ways beside each other" in page
    assert "less small, closed-book" in page


def _check_ways(ways: dict[str, Any], shown: str, config: RunConfig) -> None:
    """What is shown is in the JSON, from which its intervals can be computed again."""
    names = [f"{name}, {how}" for name in ("small", "small-asked") for how in ("closed-book", "with passages")]
    assert [each["way"] for each in ways["ways"]] == names
    assert "order" not in ways["kinds"], "what is not asked with passages has no part in it"
    assert ways["verdict"] in shown
    assert all(name in shown for name in names)
    counts = [each["items"] for each in ways["documents"]]
    assert sum(counts) == ways["items"]
    assert len(ways["differences"]) == 6
    for each in ways["differences"]:
        ours, theirs = names.index(each["way"]), names.index(each["less"])
        gains = [document["right"][ours] - document["right"][theirs] for document in ways["documents"]]
        if any(gains):
            assert each["difference"] == as_json(ratio_interval(gains, counts, config.seed))
        else:
            assert each["difference"]["value"] == 0


def test_it_is_said_why_examples_have_no_passages() -> None:
    made = {"file": "e.jsonl", "examples": 40, "with_passages": 0, "row": 64, "kinds": {"name": 40}, "documents": 9}
    assert "fits" not in describe(made | {"without_room": 0, "row": None})
    assert describe(made | {"without_room": 19}).endswith(
        "0 with passages; 19 more would have some, but not even a sentence of them fits beside the question into a row "
        "of 64 tokens: set finetune.sequence_length higher"
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--since", "2005-01-01"), "--since is for --examples"),
        (("runs/other", "--examples", "e.jsonl"), "--examples asks no model, leave out runs/other"),
        (("--examples", "e.jsonl", "--since", "2016-12-31"), "no training documents of 2016-12-31 and later to ask"),
        (("--kinds", "name,dates"), "'dates' is none of next_sentence, name, number, date, order"),
    ],
)
def test_what_cannot_be_made_is_said_in_one_line(
    undisturbed: RunConfig, command_line: CommandLine, words: tuple[str, ...], says: str
) -> None:
    code, _, said = command_line("questions", undisturbed.run_folder, *words)
    assert code == 2
    assert says in said.splitlines()[-1]
    assert not Path("e.jsonl").exists()


def test_no_example_is_made_of_what_was_asked_to_be_forgotten(
    base: Path, command_line: CommandLine, tmp_path: Path
) -> None:
    file = load_config(base).corpus.parent / "tombstones.jsonl"
    file.write_text("{}\n")
    try:
        code, _, said = command_line("questions", base, "--examples", tmp_path / "examples.jsonl", "--items", "20")
    finally:
        file.unlink()
    assert code == 2
    assert "was made with other documents to be forgotten than" in said
    assert not (tmp_path / "examples.jsonl").exists()
