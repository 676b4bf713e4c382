"""The plan as people read it, in the terminal and through the command line."""

import json

import pytest

from domainlm.plan.build import plan
from domainlm.plan.text import describe, gigabytes
from tests.launched.runs import run_domainlm
from train.config import CHECKOUT
from train.config_file import load_config

FILE = CHECKOUT / "configs" / "bloomberggpt-50b.yaml"


def test_the_table_shows_what_the_plan_has() -> None:
    shown = describe(plan(load_config(FILE)))
    assert max(len(line) for line in shown.splitlines()) <= 100
    for part in (
        "50,558,868,480",
        "of 64 × 8 = 512 GPUs",
        "does not fit",
        "MFU 25.6% (24.5% by 6 N)",
        "53.0 days",
        "$ 2,66",
        "607 GB",
        "136 B tokens of text or more",
        "260,366 kWh",
    ):
        assert part in shown, shown
    (marked,) = (line for line in shown.splitlines() if line.startswith(" ▸★ "))
    assert marked.split()[1:4] == ["3", "yes", "2"]


def test_settings_that_would_be_better_are_named() -> None:
    worse = ["training.deepspeed=configs/deepspeed/zero1.json", "training.micro_batch=1", "training.save_every=50"]
    shown = describe(plan(load_config(FILE, worse)))
    assert "DOES NOT FIT" in shown
    for setting in ("deepspeed=configs/deepspeed/zero3.json", "micro_batch=2", "save_every=213"):
        assert f"  training.{setting}\n" in shown
    assert "AdamW diverges" not in shown
    assert "\n  training.learning_rate is 30, at which AdamW diverges" in describe(
        plan(load_config(FILE, ["training.learning_rate=30"]))
    )
    small = describe(plan(load_config(FILE, ["hardware.nodes=1", "training.batch_size=8", "training.micro_batch=1"])))
    assert "fit in any way" not in small
    assert "-offload" in small


def test_shared_rows_are_told_with_the_longest_context_and_what_they_exchange() -> None:
    shown = describe(plan(load_config(CHECKOUT / "configs" / "modern-7b-131072.yaml")))
    said = " ".join(shown.split())
    assert "longest context, placed as configured: 129,664 with sequence_ranks 1," in said
    assert "1,013,760 with sequence_ranks 8 (configured)" in said
    assert "451 GB of it between devices that share sequences" in said
    assert "share sequences" not in describe(plan(load_config(FILE)))


def test_the_command_line_names_other_gpus() -> None:
    facts = json.loads(
        run_domainlm("plan", FILE, "--gpu", "H100-80GB", "--gpus", "1024", "--json").stdout.splitlines()[-1]
    )
    assert facts["machine"]["device"] == "H100-80GB"
    assert (facts["machine"]["nodes"], facts["machine"]["devices_per_node"]) == (128, 8)
    assert facts["verdict"]["answer"] == "unknown"
    for words, message in (
        ((str(FILE), "--gpus", "12"), "12 GPUs do not fill machines of 8"),
        ((str(FILE), "--gpu", "V100"), "'V100' is not a GPU that is known here"),
        (("configs/demo.yaml", "--gpus", "8"), "add --gpu A100-80GB or a `hardware` section"),
    ):
        refused = run_domainlm("plan", *words)
        assert refused.returncode == 2
        assert message in refused.stderr
        assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(("size", "text"), [(606_706_421_760, "607 GB"), (3.03e12, "3.03 TB"), (1.9e8, "0.19 GB")])
def test_sizes(size: float, text: str) -> None:
    assert gigabytes(size) == text
