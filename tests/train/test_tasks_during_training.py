"""Tasks during training: on two ranks that hold a half of each parameter, the figures of the checkpoint itself."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from data.errors import DataError
from domainlm.measure.named_model import own_model
from evaluation.config import EvaluationConfig
from tests.launched.runs import run_to_the_end
from train.config_file import ConfigError, load_config
from train.records.metrics import read_metrics

pytest.importorskip("lm_eval")

from evaluation.tasks.figures import task_figures
from evaluation.tasks.harness import answer, load_tasks
from train.held_out import tasks_of_run


def write_task(folder: Path, output: str = "multiple_choice") -> Path:
    folder.mkdir()
    items = [{"question": f"Why {number}? The bank", "label": number % 3} for number in range(15)]
    (folder / "rates.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    file = folder / "rates.yaml"
    file.write_text(
        "task: rates\n"
        "custom_dataset: !function evaluation.tasks.records.load\n"
        f"dataset_kwargs: {{place: {folder / 'rates.jsonl'}}}\n"
        f"output_type: {output}\n"
        "test_split: test\n"
        'doc_to_text: "{{question}}"\n'
        "doc_to_target: label\n"
        'doc_to_choice: ["raised", "its policy rate", "winter storms"]\n'
        "metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]\n"
    )
    return file


def test_the_figures_are_those_of_the_checkpoint(
    write_small_config: Callable[..., Path], data_folder: Path, tmp_path: Path
) -> None:
    task = write_task(tmp_path / "tasks")
    file = write_small_config(
        tmp_path / "run.yaml",
        tmp_path / "run",
        data={"folder": str(data_folder)},
        training={"steps": 4, "save_every": 4, "deepspeed": {"zero_optimization": {"stage": 3}}},
        evaluation={"every": 2, "tasks": [str(task)], "task_items": 11, "batch_size": 1},
    )
    run_to_the_end(file)
    config = load_config(file)
    lines = [line for line in read_metrics(config.metrics) if "evaluation" in line]
    assert [line["step"] for line in lines] == [2, 4]
    (loaded,) = load_tasks([str(task)], seed=config.seed, limit=11)
    figures = task_figures(answer(own_model(config)[0], loaded))
    assert lines[-1]["tasks"]["rates"] == {"acc": figures["acc"]["value"]}


def test_what_training_cannot_score_is_said_before_it_begins(
    write_small_config: Callable[..., Path], tmp_path: Path
) -> None:
    task = write_task(tmp_path / "tasks", "generate_until")
    config = load_config(write_small_config(tmp_path / "a.yaml", tmp_path / "a", evaluation={"tasks": [str(task)]}))
    with pytest.raises(DataError, match="task rates: training scores multiple choice alone"):
        tasks_of_run(config)
    with pytest.raises(ConfigError, match="tasks_every 7 is not a multiple of every 6"):
        load_config(write_small_config(tmp_path / "b.yaml", tmp_path / "b", evaluation={"tasks_every": 7}))
    assert EvaluationConfig().tasks == ()
