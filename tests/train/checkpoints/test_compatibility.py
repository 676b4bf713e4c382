"""Checkpoints and the runs that take them up: what may differ, and what is refused by name."""

from collections.abc import Callable

import pytest

from train.checkpoints.compatibility import check_architecture, check_continues
from train.checkpoints.folders import Checkpoint, CheckpointError
from train.config import RunConfig

Make = Callable[..., RunConfig]


def saved_at_4(config: RunConfig) -> Checkpoint:
    """As `train.checkpoints.folders.publish` returns it."""
    facts = {"tokenizer_digest": "t", "data_digest": "d", "samples": 32, "step": 4}
    return Checkpoint(config.checkpoints / "step_000004", facts | {"config": config.model_dump(mode="json")})


def test_continuing_is_refused_with_named_differences(make_config: Make) -> None:
    config = make_config()
    saved = saved_at_4(config)
    assert check_continues(saved, config, "d", "t") == {}
    other = make_config(model={"layers": 3})
    with pytest.raises(
        CheckpointError, match=r"model.layers was 2, now 3; the tokenizer was t, now u; the data .* was d, now e\."
    ):
        check_continues(saved, other, "e", "u")
    with pytest.raises(CheckpointError, match=r"samples read by then was 32, now 16\."):
        check_continues(saved, make_config(training={"batch_size": 4}), "d", "t")


def test_a_run_that_has_saved_does_not_begin_with_other_weights(make_config: Make) -> None:
    """They are not read any more, and yet the model card named them as where the model came from."""
    saved = saved_at_4(make_config())
    with pytest.raises(CheckpointError, match=r"init_from was None, now a/b, though no weights are read any more"):
        check_continues(saved, make_config(init_from="a/b"), "d", "t")
    moved = check_continues(saved_at_4(make_config(init_from="a/b")), make_config(init_from="c/b"), "d", "t")
    assert moved == {"init_from": {"was": "a/b", "now": "c/b"}}


def test_initial_values_stay_with_the_size_by_which_they_were_drawn(make_config: Make) -> None:
    """Rates would be those of another size than the weights are of."""
    here, there = make_config(), make_config(training={"tuned_at": {"width": 16}})
    for saved, now, said in ((here, there, "was None, now {'width': 16"), (there, here, "was {'width': 16")):
        with pytest.raises(CheckpointError, match=f"training.tuned_at {said}.*though the initial values were drawn"):
            check_continues(saved_at_4(saved), now, "d", "t")
    of_before = saved_at_4(here)
    del of_before.manifest["config"]["training"]["tuned_at"]
    check_continues(of_before, here, "d", "t")


def test_a_run_does_not_end_before_the_step_that_it_has_reached(make_config: Make) -> None:
    """It would be written down as finished, at a learning rate that was never lowered."""
    saved = saved_at_4(make_config())
    with pytest.raises(
        CheckpointError, match=r"step_000004 is of a later step than .* is 3: set it to 4 or more, or br"
    ):
        check_continues(saved, make_config(training={"steps": 3}), "d", "t")
    assert "training.steps" in check_continues(saved, make_config(training={"steps": 4}), "d", "t")


def test_ranks_and_zero_stage_may_change(make_config: Make) -> None:
    saved = saved_at_4(make_config())
    stage = make_config(training={"deepspeed": {"zero_optimization": {"stage": 3}}})
    assert check_continues(saved, stage, "d", "t") == {
        "training.deepspeed.zero_optimization.stage": {"was": 1, "now": 3}
    }


def test_weights_do_not_go_into_another_model(make_config: Make) -> None:
    saved = saved_at_4(make_config())
    check_architecture(saved, make_config(model={"dropout": 0.1, "document_masking": True}))
    with pytest.raises(CheckpointError, match=r"is of another model: .*model.heads was 2, now 4"):
        check_architecture(saved, make_config(model={"heads": 4}))


def test_a_checkpoint_from_before_a_switch_has_it_at_its_default(make_config: Make) -> None:
    saved = saved_at_4(make_config())
    del saved.manifest["config"]["model"]["query_key_layer_scaling"]
    check_architecture(saved, make_config())
    with pytest.raises(CheckpointError, match="query_key_layer_scaling was False, now True"):
        check_architecture(saved, make_config(model={"query_key_layer_scaling": True}))


def test_harmless_differences_are_reported(make_config: Make) -> None:
    saved = saved_at_4(make_config())
    changed = check_continues(saved, make_config(training={"learning_rate": 1e-3, "save_every": 2}), "d", "t")
    assert changed == {
        "training.learning_rate": {"was": 0.003, "now": 0.001},
        "training.save_every": {"was": 4, "now": 2},
    }
