"""Which rungs a plan has: the planned run's kind, on one line to it, each a run that can be trained."""

import itertools
import math
from pathlib import Path

import pytest

from domainlm.configuration import load_derived
from domainlm.ladder.rungs import (
    BATCH_EXPONENT,
    RATE_EXPONENT,
    choose_rungs,
    derive,
    rate_notes,
    scaled_batch,
    shapes_below,
)
from model.sizes import flop_per_token, parameter_count
from train.config import RunConfig
from train.config_file import ConfigError, differences, load_config
from train.schedule import check_ranks, consumed_samples


def computation(config: RunConfig) -> float:
    return flop_per_token(config.model) * tokens(config)


def tokens(config: RunConfig) -> int:
    return consumed_samples(config.training, config.training.steps) * config.model.sequence_length


def rungs_of(config: RunConfig, number: int, folder: Path, *, largest: float = 0.05, ranks: int = 1) -> list[RunConfig]:
    return [
        load_derived(derive(config, rung), folder, "ladder") for rung in choose_rungs(config, number, largest, ranks)
    ]


@pytest.mark.parametrize("file", ["bbg-1.3b", "bloomberggpt-50b", "modern-1.3b"])
def test_rungs_lie_on_one_line_to_the_planned_run(file: str, tmp_path: Path) -> None:
    config = load_config(f"configs/{file}.yaml")
    found = rungs_of(config, 5, tmp_path, ranks=8)
    assert len(found) == 5
    shares = [computation(run) / computation(config) for run in found]
    assert all(2 < above / below < 6 for below, above in itertools.pairwise(shares))
    assert 0.025 < shares[-1] < 0.051
    for run, share in zip(found, shares, strict=True):
        assert tokens(run) / parameter_count(run.model) == pytest.approx(
            tokens(config) / parameter_count(config.model), rel=0.01
        )
        assert run.model.head_width == config.model.head_width
        shared = config.model.heads // config.model.key_value_heads
        assert run.model.heads // run.model.key_value_heads == min(shared, run.model.heads)
        aspect = run.model.layers / run.model.width * config.model.width / config.model.layers
        assert 0.5 <= aspect <= 2
        assert run.training.learning_rate == pytest.approx(
            config.training.learning_rate * share**RATE_EXPONENT, rel=0.01
        )
        check_ranks(run.training, run.training.local_ranks or 1)


def test_the_demo_s_rungs(tmp_path: Path) -> None:
    found = rungs_of(load_config("configs/demo.yaml"), 4, tmp_path, ranks=2)
    assert [(run.model.layers, run.model.width, run.model.heads) for run in found] == [
        (1, 32, 1),
        (1, 64, 2),
        (1, 96, 3),
    ]
    assert [(run.training.batch_size, run.training.steps) for run in found] == [
        ({0: 1}, 404),
        ({0: 2}, 438),
        ({0: 3}, 473),
    ]
    assert [run.training.local_ranks for run in found] == [1, 2, 1]


def test_a_rung_differs_from_the_plan_in_size_and_schedule_alone(tmp_path: Path) -> None:
    config = load_config("configs/bloomberggpt-50b.yaml")
    run = rungs_of(config, 3, tmp_path)[0]
    changed = differences(config.model_dump(mode="json"), run.model_dump(mode="json"))
    allowed = ("model.", "training.", "evaluation.", "monitoring.group", "name", "folder", "data.folder")
    assert {key for key in changed if not key.startswith(allowed)} == set()
    assert {key.removeprefix("model.") for key in changed if key.startswith("model.")} == {
        *("layers", "width", "heads", "key_value_heads", "feed_forward_width")
    }
    assert run.data_folder == config.data_folder
    assert (run.corpus, run.tokenizer_folder, run.shards) == (config.corpus, config.tokenizer_folder, config.shards)


def test_phases_keep_their_share_of_the_steps(tmp_path: Path) -> None:
    file = "configs/bloomberggpt-50b.yaml"
    source = load_config(file).data.sources[0].name
    config = load_config(file, [f"data.stages=[{{from_step: 70000, weights: {{{source}: 1}}}}]"])
    run = rungs_of(config, 3, tmp_path)[0]
    first, second = run.training.batch_sizes
    planned = list(config.training.batch_sizes)[1]
    assert first == 0
    assert second / run.training.steps == pytest.approx(planned / config.training.steps, rel=0.01)
    assert run.training.warmup_steps / run.training.steps == pytest.approx(
        config.training.warmup_steps / config.training.steps, rel=0.01
    )
    assert run.data.stages[0].from_step / run.training.steps == pytest.approx(70_000 / config.training.steps, rel=0.01)


@pytest.mark.parametrize("size", [8, 512, 2048])
@pytest.mark.parametrize("share", [1.0, 0.05, 0.001])
def test_batches_follow_the_computation_and_can_be_divided(size: int, share: float) -> None:
    found = scaled_batch(size, share)
    wanted = size * share**BATCH_EXPONENT
    assert abs(math.log(found / max(1, wanted))) < math.log(1.25)
    assert found % 2 ** max(0, math.floor(math.log2(max(1, wanted))) - 2) == 0
    assert scaled_batch(size, 1.0) == size


def test_narrower_models_share_keys_among_as_many_heads() -> None:
    model = load_config("configs/modern-1.3b.yaml").model
    found = [shape for shape, _ in shapes_below(model)]
    assert found
    assert {shape.heads // shape.key_value_heads for shape in found} <= set(
        range(1, model.heads // model.key_value_heads + 1)
    )
    assert all(shape.width / shape.heads == model.width / model.heads for shape in found)


def test_a_plan_that_is_too_small_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"only 2 models of this kind, with heads of 32.*raise --largest"):
        choose_rungs(load_config("configs/demo.yaml", ["model.width=160", "model.heads=5"]), 4)


def test_muon_s_rate_is_the_plan_s_and_said(tmp_path: Path) -> None:
    config = load_config("configs/bbg-1.3b.yaml", ["training.optimizer=muon", "training.muon.learning_rate=0.03"])
    assert {run.training.muon.learning_rate for run in rungs_of(config, 3, tmp_path, ranks=8)} == {0.03}
    assert "Muon's is 0.03 in every rung" in rate_notes(config)[0]
    assert rate_notes(load_config("configs/bbg-1.3b.yaml")) == []


def test_rates_that_carry_over_are_the_plan_s_and_said(tmp_path: Path) -> None:
    """The factors of a rung's size are those of any run: `train.rates.carry_over`."""
    config = load_config("configs/bbg-1.3b.yaml", ["training.tuned_at={width: 512, layers: 8}"])
    runs = rungs_of(config, 3, tmp_path, ranks=8)
    assert {(run.training.learning_rate, run.training.tuned_at) for run in runs} == {
        (config.training.learning_rate, config.training.tuned_at)
    }
    assert rate_notes(config) == [
        "rates: carried over to every rung from a model of width 512 and 8 layers, at any batch size"
    ]
