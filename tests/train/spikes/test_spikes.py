"""What is a spike, as arithmetic; and what the real engine does about one, at every ZeRO stage and on two ranks."""

import json
import math
import random
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.launched.runs import run_script
from train.config import SpikesConfig
from train.earlier_steps import Figures, Skip, read_examined, read_history, read_skips
from train.records.journal import read_journal
from train.spikes.skip_rules import (
    DivergedError,
    check_limit,
    find_spike,
    is_skipped,
    is_to_be_examined,
    skip_for,
    threshold,
)

CONFIG = SpikesConfig(window=32)


def noisy(seed: int, count: int = 200) -> list[Figures]:
    """A run that learns: a falling loss with 1 % of noise, a gradient norm with 20 %."""
    chance = random.Random(seed)
    return [
        Figures((2 + 3 / (1 + step / 20)) * chance.gauss(1, 0.01), 0.5 * math.exp(chance.gauss(0, 0.2)))
        for step in range(count)
    ]


@given(st.integers(0, 10_000))
def test_a_run_that_learns_has_no_spikes_and_a_jump_is_found_at_once(seed: int) -> None:
    run = noisy(seed)
    found = [find_spike(run[:step], run[step], CONFIG) for step in range(len(run))]
    assert sum(map(bool, found)) <= 1, "8 robust standard deviations"
    at = 50 + seed % 100
    jump = Figures(run[at].loss + 2.9, run[at].gradient_norm)  # as from 2.2 to 5.1
    assert "loss" in find_spike(run[:at], jump, CONFIG)
    assert "gradient norm" in find_spike(run[:at], Figures(run[at].loss, 20 * run[at].gradient_norm), CONFIG)


@given(st.lists(st.floats(0.1, 10), min_size=4, max_size=40), st.floats(1, 10), st.integers(-20, 20), st.randoms())
def test_the_threshold_follows_the_scale_and_nothing_but_the_values(
    values: list[float], sigmas: float, exponent: int, chance: random.Random
) -> None:
    most = threshold(values, sigmas)
    assert most > statistics.median(values)
    assert threshold([value * 2.0**exponent for value in values], sigmas) == most * 2.0**exponent
    shuffled = chance.sample(values, len(values))
    assert threshold(shuffled, sigmas) == most
    wild = sorted(values)
    wild[len(wild) // 2 + 1 :] = [1e9] * (len(wild) - len(wild) // 2 - 1)  # a large minority goes wild
    assert threshold(wild, sigmas) < 1e4


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_is_a_spike_from_the_first_step(bad: float) -> None:
    assert find_spike([], Figures(bad, 1.0), CONFIG) == f"loss {bad} is not finite"
    assert find_spike([], Figures(1.0, bad), CONFIG) == f"gradient norm {bad} is not finite"
    assert find_spike([], Figures(1e9, 1e9), CONFIG) == "", "nothing to compare with yet"


def test_only_applied_steps_up_to_the_checkpoint_are_the_past() -> None:
    lines: list[dict[str, Any]] = [{"step": step, "loss": float(step), "gradient_norm": 1.0} for step in range(1, 10)]
    lines.insert(3, {"step": 3, "evaluation": {}})
    assert read_history(lines, 6, 4) == [Figures(float(step), 1.0) for step in (3, 4, 5, 6)]


def test_skips_come_from_the_journal() -> None:
    events = [{"event": "start"}, {"event": "skip", "first": 5, "last": 8}, {"event": "skip", "first": 20, "last": 20}]
    skips = read_skips(events)
    assert [step for step in range(1, 30) if is_skipped(skips, step)] == [5, 6, 7, 8, 20]


def test_a_rewind_skips_around_the_spike_within_the_run() -> None:
    rewind = SpikesConfig(policy="rewind", margin=10)
    assert skip_for(50, rewind, 1000) == Skip(40, 60)
    assert skip_for(5, rewind, 12) == Skip(1, 12)
    assert skip_for(50, SpikesConfig(policy="skip"), 1000) == Skip(50, 50)


def test_a_run_that_spikes_again_and_again_is_given_up() -> None:
    config = SpikesConfig(policy="skip", window=100, limit=3)
    skips = [Skip(10, 10), Skip(120, 120), Skip(150, 150)]
    check_limit(skips, 180, config, "loss 9 is above 3")
    with pytest.raises(DivergedError, match=r"step 190: loss 9 is above 3, and 3 spikes within .* 100 steps"):
        check_limit([*skips, Skip(180, 180)], 190, config, "loss 9 is above 3")


def test_a_shift_of_level_is_examined_up_to_the_limit_and_then_only_written_down() -> None:
    log = SpikesConfig(window=100, limit=3)
    worth = [is_to_be_examined([10, 120, 150, 180], step, Figures(9.0, 1.0), log) for step in (190, 251)]
    assert worth == [False, True]
    for policy in ("skip", "rewind"):
        config = SpikesConfig(window=100, limit=3, policy=policy)
        assert is_to_be_examined([120, 150, 180], 190, Figures(9.0, 1.0), config), "what follows depends on it"
    assert is_to_be_examined([120, 150, 180], 190, Figures(math.nan, 1.0), log), "what is never applied"


def test_what_was_examined_comes_from_the_journal_without_what_is_run_again() -> None:
    events = [{"event": name, "step": step} for name, step in (("spike", 5), ("save", 6), ("spike not examined", 7))]
    assert read_examined([*events, {"event": "spike", "step": 9}], 8) == [5]


# On the real engine


@pytest.fixture(scope="module")
def found(
    data_folder: Path, write_small_config: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], Path]:
    """What tests/launched/spiking_steps.py saw on two ranks, and the folder of its journals."""
    folder = tmp_path_factory.mktemp("spikes")
    config = write_small_config(folder / "run.yaml", folder / "run", data={"folder": str(data_folder)})
    run_script("spiking_steps", config, folder, *VARIANTS, ranks=2)
    return json.loads((folder / "found.json").read_text()), folder


VARIANTS = ["0:fp32", "1:bf16", "2:fp32", "3:bf16"]
BAD_STEP = 7


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_spike_is_confirmed_then_logged_or_skipped(found: tuple[dict[str, Any], Path], variant: str) -> None:
    cases = {case: found[0][f"{variant} {case}"] for case in ("undisturbed", "logged", "skipped", "replayed")}
    assert cases["undisturbed"]["unchanged"] == []
    assert set(cases["undisturbed"]["outcomes"].values()) == {"applied"}
    assert cases["logged"]["outcomes"][str(BAD_STEP)] == "applied"
    assert cases["logged"]["final"] != cases["undisturbed"]["final"]
    skipped, replayed = cases["skipped"], cases["replayed"]
    assert skipped["outcomes"][str(BAD_STEP)] == "skipped"
    assert skipped["unchanged"] == replayed["unchanged"] == [BAD_STEP]
    assert str(BAD_STEP) not in skipped["applied"]
    assert skipped["applied"] == replayed["applied"]
    assert skipped["final"] == replayed["final"], "to the bit a run that passed the batch over from the beginning"
    assert all(case["figures_agree"] for case in cases.values()), "norms by tensor are those of the whole tensors"


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_lasting_shift_stops_costing_twice_and_every_step_of_it_is_written_down(
    found: tuple[dict[str, Any], Path], variant: str
) -> None:
    case = found[0][f"{variant} shifted"]
    assert set(case["outcomes"].values()) == {"applied"}
    assert [case["computed"][str(step)] for step in range(6, 11)] == [1, 2, 2, 1, 1], "the limit is 2"
    assert [spike["step"] for spike in spikes(found[1], variant, "shifted")] == [7, 8]
    noted = [event for event in journal(found[1], variant, "shifted") if event["event"] == "spike not examined"]
    assert [event["step"] for event in noted] == [9, 10]
    assert all("is above" in event["reason"] and event["loss"] > 50 for event in noted)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_faulty_device_is_named_and_its_result_not_used(found: tuple[dict[str, Any], Path], variant: str) -> None:
    faulty = found[0][f"{variant} faulty device"]
    assert set(faulty["outcomes"].values()) == {"applied"}
    assert faulty["final"] == found[0][f"{variant} undisturbed"]["final"], "as if the device had not erred"
    [spike] = spikes(found[1], variant, "faulty device")
    assert spike["verdict"] == "computed again, rank 1 gets another loss: its device is faulty"


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_not_a_number_is_never_applied(found: tuple[dict[str, Any], Path], variant: str) -> None:
    case = found[0][f"{variant} not a number"]
    assert case["unchanged"] == [BAD_STEP]
    assert case["final"] == found[0][f"{variant} skipped"]["final"]
    [spike] = spikes(found[1], variant, "not a number")
    assert spike["loss"] == [None, None]


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_evidence_is_in_the_journal(found: tuple[dict[str, Any], Path], variant: str) -> None:
    [spike] = spikes(found[1], variant, "skipped")
    assert spike["step"] == BAD_STEP
    assert "is above" in spike["reason"]
    assert spike["verdict"] == "computed again, it is the same: the data or the weights, not a device"
    assert spike["learning_rate"] > 0
    assert [int(sample) for sample in spike["sequence_losses"]] == list(range(48, 56)), "8 sequences a step"
    worst = spike["worst"][0]
    assert spike["sequence_losses"][str(worst["sample"])] == max(spike["sequence_losses"].values())
    assert worst["documents"][0]["id"][0] in "ng"
    total = math.sqrt(sum(norm**2 for norm in spike["tensor_gradient_norms"].values()))
    assert total == pytest.approx(spike["gradient_norm"][0], rel=1e-9)
    skips = [event for event in journal(found[1], variant, "skipped") if event["event"] == "skip"]
    assert [(skip["first"], skip["last"]) for skip in skips] == [(BAD_STEP, BAD_STEP)]


@pytest.mark.parametrize("variant", VARIANTS)
def test_diagnostics_have_every_tensor(found: tuple[dict[str, Any], Path], variant: str) -> None:
    folder = found[1] / f"{variant.replace(':', '-')}-undisturbed" / "0"
    lines = [json.loads(line) for line in (folder / "diagnostics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [4, 8]
    assert lines[0]["weight_rms"].keys() == lines[0]["gradient_norm"].keys()
    assert lines[0]["weight_rms"]["final_norm.weight"] == pytest.approx(1.0, abs=0.05)
    assert 0 < lines[0]["weight_rms"]["embedding.weight"] < 0.5


def journal(folder: Path, variant: str, case: str) -> list[dict[str, Any]]:
    return read_journal(folder / f"{variant.replace(':', '-')}-{case}" / "0")


def spikes(folder: Path, variant: str, case: str) -> list[dict[str, Any]]:
    return [event for event in journal(folder, variant, case) if event["event"] == "spike"]
