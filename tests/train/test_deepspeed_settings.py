"""DeepSpeed's own JSON: every file that is shipped is parsed by DeepSpeed; what it rejects is named before a start."""

import json
from pathlib import Path
from typing import Any

import pytest
from deepspeed.runtime import config as deepspeed_config_module
from deepspeed.runtime.config import DeepSpeedConfig

from tests.launched.runs import losses, run_python
from train.config import CHECKOUT, RunConfig
from train.config_file import ConfigError, load_config
from train.deepspeed_settings import OWNED_KEYS, REMOVED_KEYS, without_owned_keys
from train.engine.engine import deepspeed_config

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
    assert without_owned_keys(users) == {"zero_optimization": {"stage": 2}, "wall_clock_breakdown": False}


def test_an_offloaded_run_is_the_same_run(undisturbed: RunConfig, tmp_path: Path) -> None:
    """The real engine with master weights and moments in the host's memory, where torch's fused AdamW works too."""
    settings = [
        "training.deepspeed=configs/deepspeed/zero2-offload.json",
        f"folder={tmp_path / 'run'}",
        f"data.folder={undisturbed.data_folder}",
    ]
    ended = run_python("-m", "train", undisturbed.run_folder / "config.yaml", *settings)
    assert ended.returncode == 0, ended.stderr
    offloaded = undisturbed.model_copy(update={"folder": str(tmp_path / "run")})
    assert losses(offloaded) == pytest.approx(losses(undisturbed), rel=1e-4)
    assert losses(offloaded)[-1] < losses(offloaded)[0]
