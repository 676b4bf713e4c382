"""The doctor's comparison of gradients: the real engine at every stage, and reductions of it that are made wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from domainlm.doctor.gradients import judge_gradients, small_run
from tests.launched.runs import run_script
from train.config import RunConfig, to_yaml
from train.config_file import load_config

Make = Callable[..., RunConfig]
SETTINGS: dict[str, dict[str, Any]] = {
    "0": {"precision": "fp32", "deepspeed": {"zero_optimization": {"stage": 0}}},
    "1": {"precision": "bf16", "deepspeed": {"zero_optimization": {"stage": 1}}},
    "2": {"precision": "fp32", "deepspeed": {"zero_optimization": {"stage": 2, "overlap_comm": True}}},
    "2 offload": {
        "precision": "bf16",
        "deepspeed": {"zero_optimization": {"stage": 2, "offload_optimizer": {"device": "cpu"}}},
    },
    "3": {"precision": "bf16", "deepspeed": {"zero_optimization": {"stage": 3, "zero_hpz_partition_size": 8}}},
    "3 autocast": {
        "precision": "fp32",
        "deepspeed": {"zero_optimization": {"stage": 3}, "torch_autocast": {"enabled": True, "dtype": "bfloat16"}},
    },
}


def test_right_and_wrong_gradients(make_config: Make, tmp_path: Path) -> None:
    """In one start of two ranks: every case as DeepSpeed reduces it, then with a bucket of it scaled or dropped."""
    files = []
    for name, training in SETTINGS.items():
        files.append(tmp_path / f"{name.replace(' ', '-')}.yaml")
        files[-1].write_text(to_yaml(small_run(make_config(training=training), ranks=2)))
    run_script("wrong_gradients", tmp_path / "seen.json", *files, ranks=2)
    seen = json.loads((tmp_path / "seen.json").read_text())
    for fault, compared in seen.items():
        verdicts = [finding.verdict for finding in judge_gradients(compared, ranks=2)]
        assert set(verdicts) == {"fail" if fault != "none" else "ok"}, (fault, compared)
    assert [len(compared) for compared in seen.values()] == [len(SETTINGS), 2, 2, 2]
    (finding,) = judge_gradients([seen["none"][0] | {"apart": float("nan")}], ranks=2)
    assert finding.verdict == "fail"
    assert "do not train: DeepSpeed 0.19" in finding.to_do


def test_a_small_run_is_one_of_its_kind(make_config: Make, tmp_path: Path) -> None:
    """Of each model that is shipped; what would write files or take long is left out."""
    shared = {"heads": 4, "key_value_heads": 2}
    config = make_config(model=shared, training={"deepspeed": {"csv_monitor": {"enabled": True}}})
    small = small_run(config, ranks=2)
    assert small.model.positions == config.model.positions
    assert small.model.key_value_heads == 1
    assert small.training.deepspeed.keys() == {"zero_optimization"}
    assert small.training.zero_stage == config.training.zero_stage
    (tmp_path / "small.yaml").write_text(to_yaml(small))
    assert load_config(tmp_path / "small.yaml") == small
    assert small_run(config, ranks=2, zero_stage=3).training.zero_stage == 3


@pytest.mark.parametrize("name", ["demo", "fed", "bbg-1.3b", "modern-1.3b", "bloomberggpt-50b"])
def test_every_shipped_configuration_has_a_small_run(name: str) -> None:
    small_run(load_config(f"configs/{name}.yaml"), ranks=2)
