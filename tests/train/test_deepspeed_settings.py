"""DeepSpeed's own JSON: every file that is shipped is parsed by DeepSpeed; what it rejects is named before a start."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from deepspeed.runtime import config as deepspeed_config_module
from deepspeed.runtime.config import DeepSpeedConfig

from tests.launched.runs import losses, run_train
from train.config import CHECKOUT, RunConfig
from train.config_file import ConfigError, load_config
from train.deepspeed_settings import OWNED_KEYS, REFUSED_KEYS, REMOVED_KEYS, own_settings
from train.engine.engine import check_settings, deepspeed_config
from train.engine.machine import check_device

SHIPPED = sorted((CHECKOUT / "configs" / "deepspeed").glob("*.json"))
DEMO = CHECKOUT / "configs" / "demo.yaml"


def parsed(settings: Any, precision: str) -> DeepSpeedConfig:
    """The settings as the engine hands them to DeepSpeed, in DeepSpeed's own reading."""
    training = load_config(
        DEMO, [f"training.deepspeed={json.dumps(settings)}", f"training.precision={precision}"]
    ).training
    return DeepSpeedConfig(deepspeed_config(training, world_size=1))


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_deepspeed_parses_every_shipped_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")
    settings = json.loads(file.read_text())
    for precision in ("fp32", "bf16"):
        if precision == "bf16" and file.stem == "zero0":
            continue
        zero = parsed(settings, precision).zero_config
        assert int(zero.stage) == int(file.stem[4])
        assert bool(zero.offload_optimizer and zero.offload_optimizer.device != "none") == ("offload" in file.stem)
        assert bool(zero.offload_param and zero.offload_param.device != "none") == file.stem.endswith("offload-all")
        assert (zero.zero_hpz_partition_size > 1) == file.stem.endswith("hpz")


def test_the_shipped_files() -> None:
    names = "zero0 zero1 zero2 zero2-offload zero3 zero3-hpz zero3-offload zero3-offload-all"
    assert {file.stem for file in SHIPPED} == set(names.split())


def test_removed_settings_are_those_that_deepspeed_rejects() -> None:
    removed = {f"zero_optimization.{key}" for key in deepspeed_config_module._REMOVED_ZERO_CONFIG_KEYS}
    assert removed | set(deepspeed_config_module._REMOVED_TOP_LEVEL_CONFIG_KEYS) == set(REMOVED_KEYS)


@pytest.mark.parametrize("key", REMOVED_KEYS)
def test_a_removed_setting_is_named_with_what_to_do(key: str) -> None:
    section, _, name = key.rpartition(".")
    settings = {section: {name: 1}} if section else {name: {"enabled": True}}
    with pytest.raises(ConfigError) as refused:
        load_config(DEMO, [f"training.deepspeed={json.dumps(settings)}"])
    assert f"training.deepspeed: DeepSpeed 0.19 has removed `{key}`: take it out" in str(refused.value)
    assert str(refused.value).endswith(REMOVED_KEYS[key])


def test_auto_is_left_to_the_framework() -> None:
    users = dict.fromkeys(OWNED_KEYS, "auto") | {"zero_optimization": {"stage": 2}, "wall_clock_breakdown": False}
    assert own_settings(users) == {"zero_optimization": {"stage": 2}, "wall_clock_breakdown": False}


USELESS = [
    ("tensor_parallel", {"tensor_parallel": {"autotp_size": 2}}),
    ("sequence_parallel_size", {"sequence_parallel_size": 2}),
    ("zero_optimization.zenflow", {"zero_optimization": {"stage": 2, "zenflow": {"topk_ratio": 0.1}}}),
    (
        "zero_optimization.offload_optimizer.super_offload",
        {"zero_optimization": {"stage": 3, "offload_optimizer": {"device": "cpu", "super_offload": True}}},
    ),
    ("compile", {"compile": {"deepcompile": True}}),
    ("expert_parallel", {"expert_parallel": {"enabled": True, "autoep_size": 2}}),
    ("data_efficiency", {"data_efficiency": {"enabled": True}}),
    ("hybrid_engine", {"hybrid_engine": {"enabled": True}}),
    ("checkpoint", {"checkpoint": {"load_universal": True}}),
    ("pipeline", {"pipeline": {"stages": 2}}),
    ("gradient_allreduce_op", {"gradient_allreduce_op": "sum"}),
    ("managed_gradient_accumulation", {"managed_gradient_accumulation": False}),
]
"""What DeepSpeed 0.19 parses and then crashes on, leaves alone or changes a step by, here."""


@pytest.mark.parametrize(("key", "settings"), USELESS)
def test_what_has_no_use_is_refused_by_name(key: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as refused:
        load_config(DEMO, [f"training.deepspeed={json.dumps(settings)}"])
    expected = f"training.deepspeed: `{key}` is of no use: take it out of the DeepSpeed file; {REFUSED_KEYS[key]}"
    assert str(refused.value).endswith(expected)


def test_what_is_turned_off_may_stand() -> None:
    off = {
        "zero_optimization": {"stage": 2, "zenflow": None, "offload_optimizer": {"super_offload": False}},
        "tensor_parallel": {"autotp_size": 0},
        "sequence_parallel_size": 1,
        "data_efficiency": {"enabled": False, "seed": 7},
        "compile": {"deepcompile": False},
        "gradient_allreduce_op": "mean",
        "managed_gradient_accumulation": True,
    }
    assert own_settings(off) == off


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"zero_optimisation": {"stage": 2}}, "known here; did you mean `zero_optimization`?"),
        ({"zero_optimization": None}, "`zero_optimization` is a section with a `stage` of 0, 1, 2 or 3"),
        ({"zero_optimization": {"stage": True}}, "`zero_optimization` is a section with a `stage` of 0, 1, 2 or 3"),
        ({"zero_optimization": {"stage": 1.0}}, "`zero_optimization` is a section with a `stage` of 0, 1, 2 or 3"),
        ({"torch_autocast": True}, "`torch_autocast` should be a section, not True"),
        ({"flops_profiler": None}, "`flops_profiler` should be a section, not None"),
        ({"gradient_predivide_factor": True}, "`gradient_predivide_factor` should be a number, not True"),
        ({"prescale_gradients": "no"}, "`prescale_gradients` should be true or false, not 'no'"),
        ({"zero_optimization": {"stage": 4}}, "`zero_optimization` is a section with a `stage` of 0, 1, 2 or 3"),
    ],
)
def test_what_deepspeed_would_pass_over_or_die_of_is_refused(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_config(DEMO, [f"training.deepspeed={json.dumps(settings)}"])
    assert str(refused.value).endswith(why)


def test_what_only_deepspeed_knows_is_refused_in_one_line_before_ranks_meet() -> None:
    training = load_config(DEMO, ["training.deepspeed={zero_optimization: {stage: 1, reduce_bucket: 5}}"]).training
    with pytest.raises(ConfigError, match=r"DeepSpeed 0\.19\.\d+ refuses it: .* reduce_bucket Extra inputs") as refused:
        check_settings(training)
    assert "\n" not in str(refused.value)
    for section in (
        "offload_optimizer: true",
        "offload_optimizer: 1",
        "reduce_bucket_size: true",
        "allgather_bucket_size: x",
    ):
        settings = f"{{zero_optimization: {{stage: 2, {section}}}}}"
        with pytest.raises(ConfigError, match=r"training.deepspeed: DeepSpeed .* refuses it: .*") as refused:
            check_settings(load_config(DEMO, [f"training.deepspeed={settings}"]).training)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("key", ["zero_quantized_weights", "zero_quantized_gradients"])
def test_what_needs_a_gpu_is_refused_where_there_is_none(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    training = load_config(DEMO, [f"training.deepspeed={{zero_optimization: {{stage: 3, {key}: true}}}}"]).training
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=f"`zero_optimization.{key}` works on CUDA GPUs alone, and there is none"):
        check_device(training)


def test_autocast_and_monitors_work(undisturbed: RunConfig, tmp_path: Path) -> None:
    """The roads to bf16 products over fp32 weights, and to TensorBoard and its like."""
    settings = {
        "zero_optimization": {"stage": 1},
        "torch_autocast": {"enabled": True, "dtype": "bfloat16"},
        "csv_monitor": {"enabled": True, "output_path": str(tmp_path / "monitor"), "job_name": "small"},
        "wall_clock_breakdown": True,
    }
    words = [
        f"training.deepspeed={json.dumps(settings)}",
        f"folder={tmp_path}",
        f"data.folder={undisturbed.data_folder}",
    ]
    ended = run_train(undisturbed.run_folder / "config.yaml", *words)
    assert ended.returncode == 0, ended.stderr
    found = losses(undisturbed.model_copy(update={"folder": str(tmp_path)}))
    assert found == pytest.approx(losses(undisturbed), rel=1e-2)
    assert found != pytest.approx(losses(undisturbed), rel=1e-6), "products were in bf16"
    rows = (tmp_path / "monitor" / "small" / "Train_Samples_lr.csv").read_text().splitlines()
    assert len(rows) >= len(found)


def test_an_offloaded_run_is_the_same_run(undisturbed: RunConfig, tmp_path: Path) -> None:
    """The real engine with master weights and moments in the host's memory, where torch's fused AdamW works too."""
    settings = [
        "training.deepspeed=configs/deepspeed/zero2-offload.json",
        f"folder={tmp_path / 'run'}",
        f"data.folder={undisturbed.data_folder}",
    ]
    ended = run_train(undisturbed.run_folder / "config.yaml", *settings)
    assert ended.returncode == 0, ended.stderr
    offloaded = undisturbed.model_copy(update={"folder": str(tmp_path / "run")})
    assert losses(offloaded) == pytest.approx(losses(undisturbed), rel=1e-4)
    assert losses(offloaded)[-1] < losses(offloaded)[0]
