"""The doctor: a real launch, faults that it must see, and its exit code."""

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from domainlm.doctor.examine import check_data, check_launcher, check_memory_of_steps, check_wandb, judge_collectives
from domainlm.plan.build import machine_of
from train.config import RunConfig

Make = Callable[..., RunConfig]


def test_two_ranks_meet_add_up_and_compare_gradients() -> None:
    launcher, all_reduce, *gradients = check_launcher(2)
    assert launcher.verdict == "ok", launcher
    assert launcher.seen.startswith("2 ranks over gloo joined in")
    assert all_reduce.seen.startswith("right; 1 MB at")
    assert all_reduce.verdict in ("ok", "warn"), "a busy machine is slow"
    assert [finding.verdict for finding in gradients] == ["ok"] * 3
    assert [finding.name for finding in gradients] == [f"gradient, ZeRO-{stage}, fp32" for stage in (1, 2, 3)]


def test_a_launcher_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setattr("domainlm.launcher.free_port", lambda: 99_999)
    (finding,) = check_launcher(1)
    assert finding.verdict == "fail"
    assert finding.seen.startswith("exit code")
    assert "--module domainlm.doctor.collectives" in finding.to_do


def test_wrong_sums_and_slow_connections() -> None:
    facts = {
        "ranks": 8,
        "backend": "nccl",
        "seconds_to_join": 1.0,
        "right": True,
        "bytes_per_second": {str(1 << 20): 5e9, str(64 << 20): 200e9},
    }
    assert [finding.verdict for finding in judge_collectives(facts)] == ["ok", "ok"]
    assert judge_collectives(facts | {"right": False})[1].verdict == "fail"
    assert judge_collectives(facts | {"bytes_per_second": {str(64 << 20): 1e9}})[1].verdict == "warn"


def test_wandb(make_config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    assert check_wandb(make_config()).seen == "off (monitoring.wandb)"
    config = make_config(monitoring={"wandb": True})
    assert check_wandb(config).seen.startswith("offline: `wandb sync")
    monkeypatch.setenv("WANDB_MODE", "online")
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        assert check_wandb(config).verdict == "warn", "nobody listens"
        server.listen()
        assert check_wandb(config).verdict == "ok"


def test_data_that_is_missing_damaged_and_whole(undisturbed: RunConfig, make_config: Make, tmp_path: Path) -> None:
    assert [finding.verdict for finding in check_data(make_config())] == ["fail", "fail"]
    tokenizer, shards = check_data(undisturbed)
    assert (tokenizer.verdict, shards.verdict) == ("ok", "ok")
    assert "tokens of news, general" in shards.seen or "tokens of general, news" in shards.seen


def test_a_step_that_does_not_fit(make_config: Make) -> None:
    small = make_config()
    assert check_memory_of_steps(small, machine_of(small)).verdict == "ok"
    large = make_config(hardware={"gpu": "RTX 4090-24GB"}, training={"micro_batch": 1 << 20, "batch_size": 1 << 20})
    assert check_memory_of_steps(large, machine_of(large)).verdict == "fail"


def test_exit_code_and_json(
    undisturbed: RunConfig, make_config: Make, tmp_path: Path, command_line: Callable[..., tuple[int, str, str]]
) -> None:
    make_config()  # writes run.yaml
    for config, code in ((undisturbed.run_folder, 0), (tmp_path / "run.yaml", 1)):
        ended, shown, said = command_line("doctor", config, "--skip-launch", "--json")
        assert ended == code, shown + said
        findings = json.loads(shown.splitlines()[-1])["findings"]
        assert any(finding["verdict"] == "fail" for finding in findings) == bool(code)
