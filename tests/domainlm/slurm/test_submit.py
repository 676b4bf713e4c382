"""`domainlm submit`: what is written into the batch script, what is refused, and that a dry run leaves no trace."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from domainlm import commands
from domainlm.arguments import parse
from domainlm.slurm.submit import (
    SCRIPT,
    describe,
    job_from,
    new_folder,
    render,
    render_array,
    slurm_seconds,
    submit,
    write_in,
)
from tests.domainlm.test_trace import save
from tests.launched.runs import run_domainlm
from train.checkpoints.folders import CheckpointError, mark_finished
from train.config import CHECKOUT, RunConfig
from train.config_file import ConfigError, load_config
from train.records.journal import read_journal

MakeConfig = Callable[..., RunConfig]


def rendered(config: RunConfig, options: str) -> str:
    arguments = parse(["submit", "run.yaml", "--time", "12:00:00", *options.split()])
    return render(config, job_from(arguments), Path("/kept"))


def settings(script: str) -> dict[str, str]:
    """The #SBATCH options of a script; each may be given once."""
    lines = [line.removeprefix("#SBATCH --") for line in script.splitlines() if line.startswith("#SBATCH")]
    keys = [line.partition("=")[0] for line in lines]
    assert len(keys) == len(set(keys))
    return dict(line.partition("=")[::2] for line in lines)


@pytest.fixture
def config(make_config: MakeConfig) -> RunConfig:
    made = make_config(training={"batch_size": 64, "micro_batch": 1})
    made.shards.mkdir(parents=True)
    (made.shards / "manifest.json").write_text("{}")
    return made


def test_values_are_written_in_and_the_rest_is_the_script_as_it_is(config: RunConfig, tmp_path: Path) -> None:
    script = rendered(config, "--nodes 8 --spare 1 --partition gpu --account a b=1 --sbatch qos=long --sbatch reboot")
    before, after = settings(SCRIPT.read_text()), settings(script)
    run = config.run_folder
    assert after == before | {
        "job-name": "small",
        "nodes": "9",
        "ntasks-per-node": "8",
        "gpus-per-node": "8",
        "time": "12:00:00",
        "chdir": str(CHECKOUT),
        "output": str(run / "logs" / "%x-%j.out"),
        "partition": "gpu",
        "account": "a",
        "qos": "long",
        "reboot": "",
    }
    assert f"export PYTHON={sys.executable} LAUNCHER=srun SPARE=1 RETRY_CRASHES=0\nexport RUN_FOLDER={run}\n" in script
    assert "set -- /kept/config.yaml" in script
    kept = [line for line in SCRIPT.read_text().splitlines() if not line.startswith("#SBATCH")]
    assert [line for line in script.splitlines() if line in kept][-150:] == kept[-150:]
    file = tmp_path / "job.sbatch"
    file.write_text(script)
    assert subprocess.run(["bash", "-n", file], capture_output=True, text=True).stderr == ""


def test_without_gpus_no_gpu_is_asked_for(config: RunConfig) -> None:
    after = settings(rendered(config, "--nodes 2 --gpus-per-node 0 --cpus-per-rank 4 --ranks-per-node 2"))
    assert "gpus-per-node" not in after
    assert (after["ntasks-per-node"], after["cpus-per-task"]) == ("2", "4")


def test_bad_nodes_of_earlier_jobs_are_left_out(config: RunConfig) -> None:
    assert "exclude" not in settings(rendered(config, "--nodes 8"))
    lines = "n7 no answer (2026-01-02, job 3)\nn2 2 GPUs instead of 8\nn7 no answer\n"
    (config.run_folder / "bad-nodes").write_text(lines)
    assert settings(rendered(config, "--nodes 8"))["exclude"] == "n2,n7"


def test_words_that_a_shell_would_read_are_quoted() -> None:
    script = write_in("#!/bin/bash\n#SBATCH --time=1\ntrue\n", {"comment": "two words", "time": None}, ["x=1"])
    assert script == "#!/bin/bash\n#SBATCH --comment='two words'\n\nx=1\ntrue\n"


def test_what_cannot_run_is_refused_before_it_waits_in_a_queue(config: RunConfig, make_config: MakeConfig) -> None:
    with pytest.raises(ConfigError, match="multiple of micro_batch × ranks = 1 × 24"):
        rendered(config, "--nodes 3")
    (config.shards / "manifest.json").unlink()
    with pytest.raises(ConfigError, match="no shards to train on; run `domainlm tokenize`"):
        rendered(config, "--nodes 8")


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        ("--time 3", "--time 3 is 180 s, and the job is asked to stop 300 s before its end (--signal B:USR1@300)"),
        ("--time 0:09:59", "Take --time 10 (minutes) or longer, or a later warning such as --sbatch signal=B:USR1@299"),
        ("--time 10", None),
        ("--time 3 --sbatch signal=B:USR1@90", None),
        ("--time 3 --sbatch signal=B:USR1@91", "--time 3 is 180 s"),
        ("--time 1:59 --sbatch signal=B:USR1", "asked to stop 60 s before its end"),
        ("--time 12:00:00 --sbatch time=5", "--time 5 is 300 s"),
        ("--time 1-0 --sbatch signal=B:USR1@43200", None),
        ("--time UNLIMITED", None),
        ("--time 2h", "--time 2h is no time of Slurm's: write minutes (90), hours (12:00:00)"),
        ("--time foo", "--time foo is no time of Slurm's"),
    ],
)
def test_a_job_that_would_stop_before_it_trains_is_refused(
    config: RunConfig, options: str, refused: str | None
) -> None:
    if refused is None:
        rendered(config, f"--nodes 8 {options}")
    else:
        with pytest.raises(ConfigError, match=re.escape(refused)):
            rendered(config, f"--nodes 8 {options}")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--sbatch", "nodes=4"], "--sbatch nodes: it is decided here: say --nodes"),
        (["--sbatch", "array=0-3"], "--sbatch array: it is decided here: one job trains a run; a chain of them is"),
        (["--partition", "a\nrm x"], "an option of sbatch is one line of printable characters"),
        (["--sbatch", "comment=a\nb"], "an option of sbatch is one line of printable characters"),
    ],
)
def test_an_option_that_makes_another_job_is_refused(config: RunConfig, words: list[str], says: str) -> None:
    arguments = parse(["submit", "run.yaml", "--time", "12:00:00", "--nodes", "1", *words])
    with pytest.raises(ConfigError, match=re.escape(says)):
        render(config, job_from(arguments), Path("/kept"))


def test_times_as_slurm_reads_them() -> None:
    times = {"5": 300, "5:30": 330, "1:00:00": 3600, "2-3": 183_600, "2-3:4": 183_840, "2-3:4:5": 183_845}
    assert {text: slurm_seconds(text) for text in times} == times
    assert slurm_seconds("INFINITE") is None


def test_without_slurm_the_refusal_says_what_to_do(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = parse(["submit", "run.yaml", "--time", "1", "--nodes", "8"])
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigError, match="submit from a node of the cluster, or look with --dry-run"):
        submit(config, job_from(arguments), "#!/bin/bash\n", config.run_folder / "submitted" / "now")
    assert not (config.run_folder / "submitted").exists()


def test_a_dry_run_shows_the_script_and_writes_nothing(
    write_small_config: Callable[..., Path], data_folder: Path, tmp_path: Path
) -> None:
    data = {"folder": str(data_folder)}
    file = write_small_config(tmp_path / "run.yaml", tmp_path / "run", data=data, training={"batch_size": 16})
    words = ("--nodes", "1", "--time", "60", "--dry-run", "--json", "training.save_every=9")
    done = run_domainlm("submit", file, *words)
    assert done.returncode == 0, done.stderr
    assert settings(json.loads(done.stdout)["script"])["time"] == "60"
    assert not (tmp_path / "run").exists()


def test_what_no_rank_could_begin_with_waits_for_no_nodes(
    write_small_config: Callable[..., Path], data_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong initial weights were found by the ranks, once the job had its nodes; a finished run was queued again."""
    data, run = {"folder": str(data_folder)}, tmp_path / "run"
    file = write_small_config(tmp_path / "run.yaml", run, data=data, training={"batch_size": 16})
    arguments = parse(["submit", str(file), "--nodes", "1", "--time", "60"])
    wrong = load_config(file, [f"init_from={tmp_path}/nothing"])
    with pytest.raises(ConfigError, match=r"init_from: .*nothing"):
        commands.submit(arguments, wrong)
    config = load_config(file)
    save(config, 1)
    with pytest.raises(CheckpointError, match="does not say how the run began"):
        commands.submit(arguments, config)
    (run / "journal.jsonl").write_text('{"event": "journal lost"}\n')  # what the refusal says
    for setting, said in (
        ("model.layers=3", "model.layers was 2, now 3"),
        ("seed=5", "the data (shards, mixture, sequence length or seed) was"),
    ):
        with pytest.raises(CheckpointError, match=re.escape(said)):
            commands.submit(arguments, load_config(file, [setting]))
    shutil.rmtree(config.checkpoints)
    (run / "journal.jsonl").write_text('{"event": "save", "step": 1}\n')
    with pytest.raises(CheckpointError, match="there is no checkpoint, but the run has saved, last at step 1"):
        commands.submit(arguments, config)
    assert len(read_journal(run)) == 1, "a look writes nothing"
    save(config, config.training.steps)
    mark_finished(run, config.training.steps, 1)
    assert commands.submit(arguments, config)["jobs"] == []
    assert "already finished" in capsys.readouterr().err
    commands.submit(arguments, load_config(file, ["model.layers=3"]))
    assert "was trained with model.layers 2, not 3" in capsys.readouterr().err
    assert not (run / "submitted").exists()


def test_the_hints_name_the_jobs(config: RunConfig) -> None:
    shown = describe(config, ["12", "13"])
    assert "squeue --jobs 12,13" in shown
    assert "scancel --batch --signal=USR1 12 " in shown
    assert str(config.run_folder / "STOP") in shown
    assert new_folder(config).parent == config.run_folder / "submitted"


def test_from_another_folder_relative_paths_are_refused(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job runs in the checkout: it would train in another folder than the one that was looked at here."""
    monkeypatch.chdir(tmp_path)
    assert "#SBATCH" in rendered(config, "--nodes 2"), "absolute paths are the same everywhere"
    relative = config.model_copy(update={"folder": str(config.run_folder.relative_to(tmp_path))})
    with pytest.raises(ConfigError, match=rf"where relative paths such as {relative.folder} lead elsewhere than here"):
        rendered(relative, "--nodes 2")


def test_secrets_do_not_go_into_a_jobs_configuration(make_config: MakeConfig) -> None:
    config = make_config(training={"batch_size": 64, "micro_batch": 1})
    data = config.data.model_copy(update={"shards": "https://anna:pa55@host/shards"})
    with pytest.raises(ConfigError, match=r"data\.shards holds secrets.* leave them to the store's own settings"):
        rendered(config.model_copy(update={"data": data}), "--nodes 8")


def test_an_array_trains_a_run_in_each_task(config: RunConfig, tmp_path: Path) -> None:
    """What a task's shell makes of the script before anything of it runs: its own run, folder and log."""
    shared = config.data.model_copy(update={"folder": str(config.data_folder)})
    other = config.model_copy(update={"name": "other", "folder": str(tmp_path / "a b"), "data": shared})
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "bad-nodes").write_text("n7 no answer\n")
    job = job_from(parse(["submit", "run.yaml", "--time", "12:00:00", "--nodes", "2"]))
    script = render_array("both", [config, other], job, Path("/kept"))
    assert settings(script) == settings(SCRIPT.read_text()) | {
        "job-name": "both",
        "array": "1-2",
        "nodes": "2",
        "ntasks-per-node": "8",
        "gpus-per-node": "8",
        "time": "12:00:00",
        "chdir": str(CHECKOUT),
        "output": "/kept/%x-%A_%a.out",
        "exclude": "n7",
    }
    head = script[: script.index("esac") + len("esac")]
    for number, run in ((1, config), (2, other)):
        shown = subprocess.run(
            ["bash", "-c", f'{head}\necho "$RUN_FOLDER:$1"'],
            env={"SLURM_ARRAY_TASK_ID": str(number)},
            text=True,
            capture_output=True,
        )
        assert shown.stdout == f"{run.run_folder}:/kept/{number}.yaml\n"
    odd = config.model_copy(update={"training": config.training.model_copy(update={"batch_size": 24})})
    with pytest.raises(ConfigError, match=r"^small: training.batch_size 24 cannot be divided: it must be a multiple"):
        render_array("both", [odd], job, Path("/kept"))
