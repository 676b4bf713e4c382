"""The command line as a user meets it: help, errors on one line, exit codes, JSON last."""

import json
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from domainlm.arguments import parse
from domainlm.stages import describe
from tests.launched.runs import catches, finish, run_domainlm, run_python, start_process, wait_for


def test_help_teaches() -> None:
    asked = run_python("-m", "domainlm", "--help", PYTHONPROFILEIMPORTTIME="1")
    shown = asked.stdout
    assert not re.search(r"\b(pydantic|yaml|numpy)$", asked.stderr, re.M), "which take ten times as long as the help"
    commands = "plan prepare tokenizer tokenize train submit evaluate generate report export trace export-shards run"
    for command in [*commands.split(), "status", "doctor"]:
        assert re.search(rf"^    {command}( |$)", shown, re.M)
    assert "domainlm run  configs/demo.yaml" in shown
    assert "--document" in run_domainlm("trace", "--help").stdout


def test_plan_prints_a_table_and_with_json_one_object_last() -> None:
    shown = run_python("-m", "domainlm", "plan", "configs/bloomberggpt-50b.yaml", PYTHONPROFILEIMPORTTIME="1")
    assert "50,558,868,480" in shown.stdout
    assert not re.search(r"\b(torch|numba|pyarrow)$", shown.stderr, re.M), "which takes longer than the plan"
    machine = run_domainlm("plan", "configs/bloomberggpt-50b.yaml", "--json", "training.steps=7200")
    facts = json.loads(machine.stdout.splitlines()[-1])
    assert {"parameters", "flop_per_token", "tokens", "steps"} <= facts.keys()
    assert facts["tokens"] == 7200 * 1024 * 2048


@pytest.mark.parametrize("words", [["a=1", "--json"], ["--json", "a=1"], ["a=1", "--json", "b=2"]])
def test_overrides_may_stand_anywhere(words: list[str]) -> None:
    arguments = parse(["plan", "run.yaml", *words])
    assert arguments.json
    assert sorted(arguments.overrides) == sorted(word for word in words if "=" in word)


NUMBERS = {
    "plan": ("--gpus",),
    "status": ("--every",),
    "rehearse": ("--steps",),
    "submit --time 1 --nodes 1": (
        *("--nodes", "--gpus-per-node", "--ranks-per-node", "--cpus-per-rank", "--spare", "--chain"),
    ),
    "branch --name other": ("--from",),
    "generate": ("--tokens", "--temperature", "--top-k", "--top-p", "--seed", "--checkpoint"),
    "ladder": ("--largest",),
    "audit": ("--passages", "--samples"),
    "export": ("--checkpoint", "--shard-gigabytes"),
    "trace": ("--step",),
    "trace --step 1": ("--rank",),
}
MAY_BE_ZERO = ("--gpus-per-node", "--spare", "--temperature", "--seed", "--rank")


@pytest.mark.parametrize(("words", "option"), [(words, option) for words in NUMBERS for option in NUMBERS[words]])
def test_a_number_that_means_nothing_is_refused_by_the_name_of_its_option(
    words: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command, *others = words.split()
    for value in ("-1", "nan", "inf", "-inf", "1e999", "many", "", *(() if option in MAY_BE_ZERO else "0")):
        with pytest.raises(SystemExit):
            parse([command, "run.yaml", *others, f"{option}={value}"])
        assert re.search(rf"error: argument {option}: '{value}' is no (whole|finite) number", capsys.readouterr().err)


def test_numbers_that_mean_something_are_taken() -> None:
    assert parse(["generate", "run.yaml", "--temperature", "0", "--top-p", "1", "--top-k", "40"]).top_p == 1
    assert parse(["export", "run.yaml", "--shard-gigabytes", "0.001"]).shard_gigabytes == 0.001
    assert parse(["submit", "run.yaml", "--time", "1", "--nodes", "64", "--gpus-per-node", "0"]).gpus_per_node == 0


def test_bad_input_is_one_line_and_exit_code_2(
    write_small_config: Callable[..., Path], tmp_path: Path, command_line: Callable[..., tuple[int, str, str]]
) -> None:
    file = write_small_config(tmp_path / "run.yaml", tmp_path / "run")
    result = run_domainlm("plan", file, "model.layer=3")
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith("error: ")
    for words, message in (
        (["plan", tmp_path / "none.yaml"], "none.yaml: no such file"),
        (["plan", tmp_path], f"{tmp_path} is no run that has begun, it has no config.yaml: name the run's YAML file"),
        (["plan", file, "model.layer=3"], "model.layer: unknown key; did you mean `layers`?"),
        (["train", file], "run `domainlm tokenize CONFIG` first"),
        (["evaluate", file], "no checkpoint yet; run `domainlm train` first"),
        (["trace", file, "--step", "99"], "step 99 is not of this run: its steps are 1 to 12"),
        (["prepare", file, "data.sources.news.path=nowhere.jsonl"], "nowhere.jsonl"),
    ):
        code, _, said = command_line(*words)
        assert code == 2, said
        assert message in said
        assert len([line for line in said.splitlines() if line.startswith("error:")]) == 1
    assert command_line("plan", file, "--jsn")[0] == 2
    assert "required: config\n" in command_line("plan")[2]
    assert not (tmp_path / "run" / "checkpoints").exists(), "nothing half-written"


def test_an_evaluation_of_nothing_says_so() -> None:
    nothing = {"sources": {"news": {}}, "baselines": {"xz": {}}}
    assert describe(nothing) == "no bits per byte: no documents are held out (data.past_fraction, data.cutoff)"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_before_the_ranks_are_started_is_one_line(
    small_run: Callable[..., Path], number: signal.Signals
) -> None:
    """While torch is loaded, which takes seconds."""
    process = start_process(sys.executable, "-m", "domainlm", "train", str(small_run("early")))
    wait_for(lambda: catches(process.pid, signal.SIGUSR1), process, pause=0.001)
    process.send_signal(number)
    said = finish(process, code=128 + number)
    assert said == f"error: ended by {number.name}: the same command goes on with what is kept\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_one_line_for_other_commands_too(small_run: Callable[..., Path], number: signal.Signals) -> None:
    words = ("-m", "domainlm", "prepare", str(small_run("interrupted")))
    process = start_process("env", "--default-signal=INT", sys.executable, *words)
    wait_for(lambda: "pydantic_core" in Path(f"/proc/{process.pid}/maps").read_text(), process, pause=0.001)
    process.send_signal(number)
    said = finish(process, code=128 + number)
    assert said == f"error: ended by {number.name}: the same command goes on with what is kept\n"
