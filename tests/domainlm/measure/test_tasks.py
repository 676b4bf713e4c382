"""`domainlm tasks` as a user runs it: figures, contamination by steps, another model beside, and what is refused."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from data.corpus.files import corpus_files
from domainlm.export import export
from domainlm.trace import trace_document
from train.config import RunConfig

CommandLine = Callable[..., tuple[int, str, str]]


def write_items(folder: Path, config: RunConfig) -> tuple[Path, str]:
    """A task of which every second question stands in one training document, and the id of that."""
    table = pq.read_table(corpus_files(config.corpus, "train")["news"][0], columns=["id", "text"])
    texts = dict(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))
    document = next(name for name in texts if trace_document(config, name)["steps"])
    words = texts[document].split()
    items = [
        {
            "question": " ".join(words[number : number + 16] if number % 2 else words[number::7][:16]),
            "label": number % 3,
        }
        for number in range(12)
    ]
    folder.mkdir()
    (folder / "cloze.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    (folder / "cloze.yaml").write_text(
        "task: cloze\n"
        "custom_dataset: !function evaluation.tasks.records.load\n"
        f"dataset_kwargs: {{place: {folder / 'cloze.jsonl'}}}\n"
        "output_type: multiple_choice\n"
        "test_split: test\n"
        'doc_to_text: "{{question}}"\n'
        "doc_to_target: label\n"
        'doc_to_choice: ["bank", "policy rate", "winter storms"]\n'
    )
    return folder, document


def test_tasks_of_a_run_and_its_export(undisturbed: RunConfig, command_line: CommandLine, tmp_path: Path) -> None:
    pytest.importorskip("lm_eval")
    folder, document = write_items(tmp_path / "tasks", undisturbed)
    file = undisturbed.run_folder / "config.yaml"
    exported = export(undisturbed, tmp_path / "elsewhere")["folder"]
    code, output, errors = command_line("tasks", file, folder, "--model", exported, "--json")
    assert code == 0, errors
    own, other = json.loads(output.splitlines()[-1])["models"]
    assert own["tasks"]["cloze"]["acc"]["items"] == 12
    assert other["tasks"]["cloze"]["acc"]["value"] == own["tasks"]["cloze"]["acc"]["value"]
    difference = other["tasks"]["cloze"]["acc"]["difference"]
    assert (difference["low"], difference["value"], difference["high"]) == (0, 0, 0)
    found = own["contamination"]["cloze"]
    assert found["touched"] >= 6
    named = {each["id"]: each for each in found["documents"]}
    assert named[document]["first_step"] == trace_document(undisturbed, document)["first_step"]
    assert set(named[document]["items"]) >= {1, 3, 5, 7, 9, 11}
    parts = [found[part].get("acc", {}).get("items", 0) for part in ("of_touched", "of_others")]
    assert parts == [found["touched"], 12 - found["touched"]]
    assert other["remarks"]
    assert not other["contamination"]
    assert len(Path(own["answers"]["cloze"]).read_text().splitlines()) == 13
    kept = json.loads((undisturbed.reports / "tasks.json").read_text())["models"]
    assert [model["name"] for model in kept] == [own["name"], other["name"]]
    general = ("--model", exported, "--window", "16", "--dtype", "bfloat16")
    code, output, errors = command_line("tasks", file, folder, *general, "--json")
    assert code == 0, errors
    narrow = json.loads(output.splitlines()[-1])["models"][1]["answers"]["cloze"]
    asked = json.loads(Path(narrow).read_text().splitlines()[0])
    assert (asked["window"], asked["device"]) == (16, "cpu, bfloat16")
    code, output, errors = command_line("tasks", file, folder / "cloze.yaml")
    assert code == 0
    assert "up to date" in errors
    assert "words in a row with" in output
    assert len(json.loads((undisturbed.reports / "tasks.json").read_text())["models"]) == 2


def test_text_that_was_replaced_tells_nothing_of_what_was_read(
    undisturbed: RunConfig, command_line: CommandLine, tmp_path: Path
) -> None:
    pytest.importorskip("lm_eval")
    folder, _ = write_items(tmp_path / "tasks", undisturbed)
    file = undisturbed.run_folder / "config.yaml"
    code, output, errors = command_line("tasks", file, folder, "data.cutoff=2018-01-01", "--json")
    assert code == 0, errors
    (own,) = json.loads(output.splitlines()[-1])["models"]
    assert not own["contamination"]
    (remark,) = own["remarks"]
    assert "whether items stand in its training text is not known: " in remark
    assert "data.cutoff was 2017-01-01, now 2018-01-01" in remark


def test_what_cannot_be_scored_is_refused_in_one_line(
    undisturbed: RunConfig, command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = undisturbed.run_folder / "config.yaml"
    code, _, errors = command_line("tasks", file)
    assert code
    assert "no task is named: name some, or set evaluation.tasks" in errors
    monkeypatch.setitem(sys.modules, "lm_eval.tasks", None)
    code, _, errors = command_line("tasks", file, "arc_easy")
    assert code
    assert "pip install 'domainlm[tasks]'" in errors
    assert "Traceback" not in errors
