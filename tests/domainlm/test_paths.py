"""Relative paths: which they are, and that a command in the wrong folder says so."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from domainlm.paths import begun_in, relative_paths
from tests.launched.runs import run_domainlm
from train.config import RunConfig, to_yaml
from train.config_file import load_config

CommandLine = Callable[..., tuple[int, str, str]]


@pytest.fixture
def project(
    write_small_config: Callable[..., Path],
    make_data: Callable[[RunConfig], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A folder with configs/small.yaml, whose run and data are named by relative paths, and which has begun."""
    folder = tmp_path / "project"
    (folder / "configs").mkdir(parents=True)
    file = write_small_config(folder / "configs" / "small.yaml", Path("runs/small"), data={"folder": "shared"})
    monkeypatch.chdir(folder)
    config = load_config(file)
    make_data(config)
    config.run_folder.mkdir(parents=True)
    (config.run_folder / "config.yaml").write_text(to_yaml(config))
    return folder


def test_a_runs_folder_is_the_same_run_from_everywhere(
    project: Path, tmp_path: Path, command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = []
    for here, named in ((project, "runs/small"), (project / "runs" / "small", "."), (tmp_path, "project/runs/small")):
        monkeypatch.chdir(here)
        code, shown, said = command_line("plan", named, "hardware={gpu: H100-80GB}", "--json")
        assert code == 0, said
        assert (f"relative paths start in {project}, where the run was begun" in said) == (here != project)
        epochs.append(json.loads(shown.splitlines()[-1])["epochs"])
    assert epochs[0]
    assert epochs == [epochs[0]] * 3


def test_in_the_wrong_folder_the_right_one_is_named(
    project: Path, tmp_path: Path, command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = project / "configs" / "small.yaml"
    assert "note:" not in command_line("plan", file, "hardware={gpu: H100-80GB}")[2]
    monkeypatch.chdir(tmp_path)
    said = command_line("evaluate", file)[2]
    assert f"note: relative paths start in the current folder, {tmp_path}, which has no runs/small, shared; " in said
    assert f"{project} has: `cd {project}` first" in said


def test_a_run_that_was_moved_is_trained_where_it_lies(
    data_folder: Path, write_small_config: Callable[..., Path], tmp_path: Path
) -> None:
    moved, before = tmp_path / "moved", tmp_path / "before"
    moved.mkdir()
    training = {"steps": 2, "warmup_steps": 1}
    write_small_config(moved / "config.yaml", before, data={"folder": str(data_folder)}, training=training)
    trained = run_domainlm("train", moved)
    assert trained.returncode == 0, trained.stderr
    assert (moved / "DONE").exists()
    assert not before.exists()


def test_the_paths_that_depend_on_the_current_folder(make_config: Callable[..., RunConfig]) -> None:
    config = make_config(
        folder="runs/a",
        init_from="models/b",
        data={
            "shards": "s3://bucket/shards",
            "cache": "/absolute",
            "sources": [
                {"name": "c", "path": "texts/c/2*/[ab].jsonl"},
                {"name": "d", "path": "hub://owner/d"},
                {"name": "e", "path": "*.jsonl"},
            ],
            "decontamination": {"paths": ["items/*.txt"]},
        },
    )
    assert relative_paths(config) == [Path(name) for name in ("runs/a", "models/b", "texts/c", "items")]


@pytest.mark.parametrize(
    ("recorded", "folder", "start"),
    [
        ("runs/a", "/x/runs/a", "/x"),
        ("runs/a", "/runs/a/../a", "/"),
        ("runs/a", "/x/runs/b", None),
        ("/x/runs/a", "/x/runs/a", None),
        ("runs/a", "/a", None),
    ],
)
def test_where_a_run_was_begun(recorded: str, folder: str, start: str | None) -> None:
    assert begun_in(Path(recorded), Path(folder)) == (start and Path(start))
