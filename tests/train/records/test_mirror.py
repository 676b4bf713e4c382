"""Weights & Biases: what `wandb sync` uploads, read back from a run's own offline file; a server that is gone."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from wandb.proto import wandb_internal_pb2

from tests.launched.runs import run_program
from train.config import RunConfig
from train.records.mirror import Mirror, identity_of, keep_reports

Make = Callable[..., RunConfig]
SCRIPT = (
    "import sys; from train.config_file import load_config; from train.records.mirror import Mirror;"
    "mirror = Mirror(load_config(sys.argv[1]), {}); mirror.log(1, 'train', {'loss': 4.0}); mirror.finish()"
)
BLOCK, BLOCK_HEADER, FILE_HEADER = 32768, 7, 7


def records(file: Path) -> Iterator[Any]:
    """The records of a .wandb file: LevelDB's log format, behind a header of seven bytes."""
    content, place, whole = file.read_bytes(), FILE_HEADER, b""
    assert content.startswith(b":W&B")
    while place + BLOCK_HEADER <= len(content):
        left = BLOCK - place % BLOCK
        if left < BLOCK_HEADER:
            place += left
            continue
        size, kind = int.from_bytes(content[place + 4 : place + 6], "little"), content[place + 6]
        whole += content[place + BLOCK_HEADER : place + BLOCK_HEADER + size]
        place += BLOCK_HEADER + size
        if kind in (1, 4):  # the whole of a record, or its last part
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            yield record
            whole = b""


def offline(config: RunConfig) -> list[Any]:
    """All records of the run, over its resumes."""
    files = sorted((config.run_folder / "wandb").glob("offline-run-*/*.wandb"), key=lambda file: file.stat().st_mtime)
    return [record for file in files for record in records(file)]


def artifacts(config: RunConfig) -> set[tuple[str, str]]:
    """Name and type of each."""
    kept = [record.request.log_artifact.artifact for record in offline(config) if record.HasField("request")]
    kept += [record.artifact for record in offline(config) if record.HasField("artifact")]
    return {(artifact.name, artifact.type) for artifact in kept if artifact.name}


def history(config: RunConfig) -> list[dict[str, Any]]:
    rows = [record.history.item for record in offline(config) if record.HasField("history")]
    return [{item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in row} for row in rows]


@pytest.fixture(autouse=True)
def no_wandb_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)


def test_the_offline_file_has_what_users_look_for(make_config: Make) -> None:
    monitoring: dict[str, Any] = {
        "wandb": True,
        "project": "finance",
        "group": "ablations",
        "tags": ["bbg", "small"],
        "notes": "does ALiBi help?",
        "job_type": "ablation",
        "artifacts": "report",
    }
    config = make_config(monitoring=monitoring)
    config.reports.mkdir(parents=True)
    (config.reports / "report.html").write_text("<p>shown</p>")
    for step in (1, 2):  # the second is a resume
        mirror = Mirror(config, {"ranks": 2})
        mirror.log(step, "train", {"loss": 5.0 - step, "mfu": 0.25})
        mirror.log(step, "evaluation", {"news/past": 1.5})
        mirror.summarise({"tokens": 100 * step})
        mirror.finish()
    keep_reports(config)

    runs = [record.run for record in offline(config) if record.HasField("run")]
    identity = (config.run_folder / "wandb_id").read_text().splitlines()[0]
    assert {run.run_id for run in runs} == {identity}, "one run over all resumes"
    run = runs[0]
    assert (run.project, run.run_group, run.display_name) == ("finance", "ablations", "small")
    assert (list(run.tags), run.notes, run.job_type) == (["bbg", "small"], "does ALiBi help?", "ablation")
    settings = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert settings["training"]["learning_rate"] == config.training.learning_rate
    assert settings["environment"] == {"ranks": 2}

    logged = history(config)
    assert [row["train/loss"] for row in logged if "train/loss" in row] == [4.0, 3.0]
    assert [row["step"] for row in logged if "evaluation/news/past" in row] == [1, 2]
    best = [record.metric for record in offline(config) if record.HasField("metric")]
    smallest = {metric.name or metric.glob_name for metric in best if metric.summary.min}
    assert smallest >= {"train/loss", "evaluation/*"}
    reports = artifacts(config)
    for _ in range(100):  # wandb's service may write the last records a moment after finish()
        if not reports:
            time.sleep(0.1)
            reports = artifacts(config)
    assert reports == {("small-reports", "report")}


def test_a_copied_run_has_an_id_of_its_own_and_a_moved_one_keeps_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The curves of two runs became one."""
    first, copied, moved = (tmp_path / name for name in ("first", "copied", "moved"))
    first.mkdir()
    own = identity_of(first)
    assert identity_of(first) == own
    shutil.copytree(first, copied)
    other = identity_of(copied)
    assert other != own
    assert f"{copied} is a copy of {first}, which is still there" in capsys.readouterr().err
    assert [identity_of(copied), identity_of(first)] == [other, own]
    first.rename(moved)
    assert identity_of(moved) == own
    (tmp_path / "link").symlink_to(moved)
    assert identity_of(tmp_path / "link") == own, "the same folder by another name"
    (moved / "wandb_id").write_text(own)  # as older versions wrote it
    assert identity_of(moved) == own


def test_wandb_sync_takes_the_offline_file(make_config: Make) -> None:
    config = make_config(monitoring={"wandb": True})
    config.run_folder.mkdir()
    mirror = Mirror(config, {})
    mirror.log(1, "train", {"loss": 4.0})
    mirror.finish()
    command = [str(Path(sys.executable).with_name("wandb")), "sync", "--dry-run", str(config.run_folder / "wandb")]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert (config.run_folder / "wandb_id").read_text().splitlines()[0] in shown.stdout + shown.stderr


def test_reports_are_kept_by_choice_only(make_config: Make) -> None:
    config = make_config(monitoring={"wandb": True})
    keep_reports(config)
    assert not (config.run_folder / "wandb").exists()


@pytest.mark.parametrize("answers", [False, True], ids=["nobody listens", "a server that never answers"])
def test_a_server_that_cannot_be_reached_never_stalls_a_run(answers: bool, make_config: Make) -> None:
    """The real client against a dead and against a silent address; in a process of its own, as wandb keeps one."""
    config = make_config(monitoring={"wandb": True, "init_timeout_seconds": 2})
    config.run_folder.mkdir()
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if answers:
            server.listen()
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        variables = {"WANDB_MODE": "online", "WANDB_BASE_URL": address, "WANDB_API_KEY": "0" * 40}
        begin = time.monotonic()
        ended = run_program(SCRIPT, config.run_folder.parent / "run.yaml", **variables)
    assert ended.returncode == 0, ended.stderr
    assert "W&B cannot be reached" in ended.stderr
    assert "this run is mirrored offline" in ended.stderr
    assert time.monotonic() - begin < 60
    assert [row["train/loss"] for row in history(config)] == [4.0]


def test_the_service_of_a_process_that_started_this_one_is_not_used(make_config: Make, tmp_path: Path) -> None:
    """As a run that is started from a notebook, or from anything else that uses wandb, which then ends."""
    config = make_config(monitoring={"wandb": True})
    config.run_folder.mkdir()
    other = (
        "import os, sys, wandb; wandb.init(mode='offline', dir=sys.argv[1]); print('at', os.environ['WANDB_SERVICE'])"
    )
    (service,) = re.findall("^at (.+)$", run_program(other, config.run_folder.parent).stdout, re.M)
    ended = run_program(SCRIPT, config.run_folder.parent / "run.yaml", WANDB_SERVICE=service)
    assert ended.returncode == 0, ended.stderr
    assert [row["train/loss"] for row in history(config)] == [4.0]


def test_what_cannot_be_mirrored_is_said_and_ends_the_mirror_only(
    make_config: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file where W&B's folder would be: as a folder that is read-only, but for the superuser too."""
    config = make_config(monitoring={"wandb": True, "artifacts": "report"})
    config.reports.mkdir(parents=True)
    (config.run_folder / "wandb").write_text("")
    mirror = Mirror(config, {})
    mirror.log(1, "train", {"loss": 4.0})
    mirror.summarise({"tokens": 100})
    mirror.finish()
    keep_reports(config)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2, said
    assert all("the run goes on without its mirror; metrics.jsonl has all figures" in line for line in said)


def test_secrets_of_addresses_are_not_written_down(make_config: Make, documents: Path) -> None:
    sources = [{"name": "news", "path": "https://anna:pa55@host/x.jsonl", "domain": True}]
    config = make_config(data={"sources": sources})
    config.run_folder.mkdir()
    override = "data.sources.news.path=https://anna:0pen@host/x.jsonl?token=t0k"
    script = SCRIPT.replace("sys.argv[1]", "sys.argv[1], sys.argv[2:]")
    ended = run_program(script, config.run_folder.parent / "run.yaml", override, "monitoring.wandb=true")
    assert ended.returncode == 0, ended.stderr
    assert [row["train/loss"] for row in history(config)] == [4.0]
    written = b"".join(file.read_bytes() for file in config.run_folder.rglob("*") if file.is_file())
    assert b"https://***@host/x.jsonl?token=***" in written
    assert not any(secret in written for secret in (b"pa55", b"0pen", b"t0k"))
