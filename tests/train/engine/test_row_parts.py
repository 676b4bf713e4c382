"""Ranks that share rows: the losses and gradients of one rank alone, at every stage and for every kind of attention."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.launched.rank import zero_stage
from tests.launched.runs import lines, losses, run_ranks, run_script, weights
from tests.models import LLAMA
from train.config import RunConfig
from train.config_file import ConfigError, load_config
from train.records.journal import read_journal
from train.schedule import check_ranks, micro_batches

BOUND = 1e-6
"""Largest relative difference in fp32, whose sums are added in another order."""
ROPE = "|".join(f"model.{key}={value}" for key, value in LLAMA.items()) + "|model.feed_forward_width=64"
GROUPED = f"{ROPE}|model.key_value_heads=2"
MASKED = "model.document_masking=true"


def case(stage: int, *changes: str, steps: int = 3) -> str:
    return "|".join([zero_stage(stage), "model.heads=4", f"training.steps={steps}", *changes])


def shared(case: str, ranks: int) -> str:
    return f"{case}|training.sequence_ranks={ranks}"


def train(config_file: Path, out: Path, cases: list[str], ranks: int) -> dict[str, Any]:
    # From the first ZeRO-3 on a process computes products by another function: the other stages come first.
    ordered = sorted(cases, key=lambda one: "stage: 3" in one)
    run_script("shared_rows", config_file, out, *ordered, ranks=ranks)
    found: dict[str, Any] = torch.load(out)
    return found


def distance(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> float:
    """Of all tensors together, as a share of their norm."""
    assert ours.keys() == theirs.keys()
    apart = sum((ours[name].double() - theirs[name].double()).square().sum() for name in ours)
    return float((apart / sum(one.double().square().sum() for one in theirs.values())).sqrt())


def assert_same(ours: dict[str, Any], theirs: dict[str, Any], what: str, bound: float = BOUND) -> None:
    assert ours["losses"] == pytest.approx(theirs["losses"], rel=bound), what
    assert ours["norms"] == pytest.approx(theirs["norms"], rel=10 * bound), what
    assert ours["by sequence"] == pytest.approx(theirs["by sequence"], rel=bound), what
    assert distance(ours["gradient"], theirs["gradient"]) < bound, what
    assert ours["tensor norms"] == pytest.approx(theirs["tensor norms"], rel=10 * bound, abs=1e-9), what


CASES = {
    "ALiBi, tied, 50 steps": case(1, MASKED, steps=50),
    "grouped heads": case(0, GROUPED),
    "recomputed": case(2, GROUPED, MASKED, "training.activation_checkpointing=true"),
    "selective": case(3, MASKED, "training.activation_checkpointing=selective", "model.z_loss=1e-3"),
    "rope, tied": case(3, GROUPED, "model.tied=true"),
    "a window": case(1, GROUPED, "model.sliding_window=9", "model.query_key_norm=true"),
    "muon": case(2, GROUPED, "training.optimizer=muon"),
    "bf16": case(3, GROUPED, MASKED, "training.precision=bf16"),
}


def test_ranks_that_share_rows_train_as_one_rank(small_run: Callable[..., Path], tmp_path: Path) -> None:
    """At a group of two, of four, and two groups of two; four ranks get copies of the two key-value heads."""
    file = small_run("shared", batch_size=4)
    alone = train(file, tmp_path / "alone", list(CASES.values()), 1)
    for ranks, group, names in ((2, 2, list(CASES)), (4, 4, list(CASES)[:5]), (4, 2, ["recomputed"])):
        cases = {name: shared(CASES[name], group) for name in names}
        seen = train(file, tmp_path / "seen", list(cases.values()), ranks)
        for name, one in cases.items():
            bound = 3e-3 if name == "bf16" else BOUND
            assert_same(seen[one], alone[CASES[name]], f"{name}: {group} of {ranks} ranks", bound)


def test_a_run_goes_on_with_another_number_of_ranks_a_row(small_run: Callable[..., Path]) -> None:
    constant = {"minimum_learning_rate": 3e-3, "warmup_steps": 0, "save_every": 2, "steps": 6}
    heads = "model.heads=4"
    whole, changed = small_run("whole", **constant), small_run("changed", **constant)
    run_ranks("-m", "train", str(whole), heads, ranks=1)
    for ranks, group, steps in ((4, 2, 2), (2, 2, 4), (1, 1, 6)):
        settings = (heads, f"training.sequence_ranks={group}", f"training.steps={steps}")
        said = run_ranks("-m", "train", str(changed), *settings, ranks=ranks)
        assert ("to a row" in said) == (group > 1)
    one, other = (load_config(file, [heads]) for file in (whole, changed))
    assert losses(other) == pytest.approx(losses(one), rel=BOUND)
    assert distance(weights(other), weights(one)) < 10 * BOUND
    bits = [lines(config, "evaluation")[-1]["evaluation"]["news"]["past"] for config in (one, other)]
    assert bits[0] == pytest.approx(bits[1], rel=BOUND)
    changes = [
        event["changes"] for event in read_journal(other.run_folder) if event["event"] == "configuration changed"
    ]
    assert changes[-1]["training.sequence_ranks"] == {"was": 2, "now": 1}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"model": {"heads": 3, "width": 33}}, "heads=3 is no multiple of 2"),
        ({"model": {"heads": 6, "width": 48, "key_value_heads": 3}}, "key_value_heads=3 is neither"),
        ({"model": {"sequence_length": 33}}, "sequence_length=33 is no multiple of 2"),
        ({"model": {"dropout": 0.1}}, "dropout=0.1 would fall otherwise"),
        ({"training": {"compile": True}}, "untried with training.compile"),
        ({"init_from": "base", "lora": {"rank": 2}}, "adapters are trained on whole rows"),
    ],
)
def test_what_cannot_be_shared_is_refused_by_name(
    make_config: Callable[..., RunConfig], settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=r"training.sequence_ranks 2") as refused:
        make_config(**settings | {"training": {"sequence_ranks": 2} | settings.get("training", {})})
    assert said in str(refused.value)


def test_groups_of_ranks_take_the_micro_batches_of_ranks(make_config: Callable[..., RunConfig]) -> None:
    training = make_config(training={"sequence_ranks": 2}).training
    whole = make_config().training
    for rank in range(8):
        assert micro_batches(training, 3, rank, 8) == micro_batches(whole, 3, rank // 2, 4)
    with pytest.raises(ConfigError, match="sequence_ranks 2 does not divide the 3 ranks"):
        check_ranks(training, 3)
    with pytest.raises(ConfigError, match="micro_batch × groups of ranks = 2 × 3 = 6"):
        check_ranks(training, 6)
