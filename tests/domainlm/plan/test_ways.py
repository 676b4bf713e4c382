"""Costs of the ways to a specialist: arithmetic on the plan, and nothing where nothing is known."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from domainlm.plan.build import plan
from domainlm.plan.text import describe
from domainlm.plan.ways import hours_of_a_hundredth
from train.config import CHECKOUT, RunConfig
from train.config_file import load_config

Make = Callable[..., RunConfig]
FILE = CHECKOUT / "configs" / "bloomberggpt-50b.yaml"


def power_law(share: float) -> dict[str, float]:
    return {"domain / future": 0.5 + 0.3 * share**-0.2, "general / past": 0.9}


def test_before_the_text_is_counted_only_this_run_has_a_price() -> None:
    planned = plan(load_config(FILE))
    scratch, continued, tuned, retrieved = planned.ways
    assert [way.name for way in planned.ways] == ["scratch", "continue", "fine-tune", "retrieve"]
    assert (scratch.tokens, scratch.device_hours, scratch.money) == (
        planned.tokens,
        planned.costs.device_hours,
        planned.costs.money,
    )
    # 53 days of 512 A100 at 400 W.
    assert scratch.kilowatt_hours == pytest.approx(53 * 24 * 512 * 0.4, rel=0.01)
    for way in (continued, tuned):
        assert (way.tokens, way.device_hours, way.days, way.money, way.kilowatt_hours) == (None,) * 5
    assert (retrieved.device_hours, retrieved.money) == (0, 0)
    assert not any(way.bits_per_byte for way in planned.ways)
    shown = describe(planned)
    (line,) = (line for line in shown.splitlines() if line.startswith("  bits per byte"))
    assert line.split()[3:] == ["not", "known"] * 4


def test_without_a_price_and_power_none_is_shown(make_config: Make) -> None:
    shown = describe(plan(make_config(hardware={"gpu": "GH200-96GB", "gpus_per_node": 1})))
    assert "ways to a specialist" in shown
    assert "kWh" not in shown
    assert "\n  money" not in shown


def test_continuing_is_a_pass_over_the_domain(make_config: Make, make_data: Callable[[RunConfig], None]) -> None:
    hardware = {"gpu": "A100-80GB", "gpus_per_node": 2, "price_per_gpu_hour": 3, "watts_per_gpu": 600}
    config = make_config(hardware=hardware)
    make_data(config)
    planned = plan(config)
    scratch, continued, *_ = planned.ways
    assert continued.tokens == planned.training_tokens["news"]
    assert continued.device_hours == pytest.approx(planned.costs.device_hours * continued.tokens / planned.tokens)
    assert continued.money == pytest.approx(3 * continued.device_hours)
    assert continued.kilowatt_hours == pytest.approx(0.6 * continued.device_hours)
    assert scratch.days == planned.costs.days
    begun = plan(config.model_copy(update={"init_from": "models/base"}))
    assert begun.ways[1].tokens == begun.tokens
    assert begun.ways[1].device_hours == pytest.approx(begun.costs.device_hours)


def test_a_prepared_fine_tuning_is_counted(make_config: Make, tmp_path: Path) -> None:
    examples = [{"name": "pairs", "path": "pairs.jsonl", "form": "pairs"}]
    config = make_config(
        hardware={"gpu": "A100-80GB", "gpus_per_node": 2},
        finetune={"name": "desk", "examples": examples, "learning_rate": 1e-4},
    )
    assert plan(config).ways[2].tokens is None
    folder = config.run_folder / "finetune" / "desk"
    folder.mkdir(parents=True)
    derived = config.model_copy(update={"training": config.training.model_copy(update={"steps": 3})})
    (folder / "config.yaml").write_text(json.dumps(derived.model_dump(mode="json")))
    tuned = plan(config).ways[2]
    assert tuned.tokens == 3 * 8 * 32
    assert tuned.days == pytest.approx(plan(config).costs.days * 3 / 12)


def test_a_law_says_what_is_reached_and_what_the_last_of_it_costs() -> None:
    planned = plan(load_config(FILE), power_law)
    assert planned.ways[0].bits_per_byte == power_law(1.0)
    assert not any(way.bits_per_byte for way in planned.ways[1:])
    hours = planned.device_hours_of_a_hundredth
    fall = 0.3 * (0.9**-0.2 - 1)
    assert hours == {"domain / future": pytest.approx(0.01 * 0.1 * planned.costs.device_hours / fall)}, (
        "general is flat"
    )
    shown = describe(planned)
    assert "0.800" in shown
    spent = hours["domain / future"]
    assert f"{spent:,.0f} h, $ {4.0966 * spent:,.0f}, {0.4 * spent:,.0f} kWh" in shown
    assert hours_of_a_hundredth(None, 100.0) == {}


def test_a_budget_that_ends_the_run_early_is_named() -> None:
    shown = describe(plan(load_config(FILE, ["hardware.budget.money=1000000"])))
    assert "$ 1,000,000, 244,105 GPU-hours: it stops the run after about 38% of its tokens" in " ".join(shown.split())
    assert "it stops the run" not in describe(plan(load_config(FILE, ["hardware.budget.money=3000000"])))
    in_hours = describe(plan(load_config(FILE, ["hardware.budget.gpu_hours=900000"])))
    assert [line.split() for line in in_hours.splitlines() if "budget" in line] == [["budget", "900,000", "GPU-hours"]]
