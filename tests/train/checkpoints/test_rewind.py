"""Going back before a spike: the run that results is, to the bit, one that passed the batches over from the start."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.launched.runs import assert_same_run, metrics, run_to_the_end
from train.checkpoints.folders import saved_steps
from train.config import SpikesConfig
from train.config_file import load_config
from train.earlier_steps import Figures, read_skips
from train.records.journal import Journal, read_journal
from train.spikes.skip_rules import find_spike


@pytest.fixture(scope="module")
def sigmas(undisturbed: Any) -> float:
    """A limit so low that the undisturbed run has its first spike in the second half."""
    run = [Figures(line["loss"], line["gradient_norm"]) for _, line in sorted(metrics(undisturbed).items())]
    for tenths in range(1, 100):
        config = SpikesConfig(window=8, sigmas=tenths / 10)
        found = [step for step in range(1, len(run) + 1) if find_spike(run[: step - 1], run[step - 1], config)]
        if found and 7 <= found[0] <= 11:
            return config.sigmas
    raise AssertionError("no such limit")


@pytest.mark.slow
def test_a_rewound_run_is_one_that_never_saw_the_batches(small_run: Callable[..., Path], sigmas: float) -> None:
    spikes = {"policy": "rewind", "window": 8, "sigmas": sigmas, "margin": 1, "limit": 50}
    file = small_run("rewound", save_every=2, keep_checkpoints=9, spikes=spikes)
    rewound = load_config(file)
    output = run_to_the_end(file)
    events = read_journal(rewound.run_folder)
    skips = [event for event in events if event["event"] == "skip"]
    assert skips, "there was something to go back for"
    first = skips[0]
    assert (first["first"], first["last"]) == (first["spike"] - 1, min(first["spike"] + 1, 12))
    assert first["back_to"] == (first["first"] - 1) // 2 * 2, "the last checkpoint before what is skipped"
    order = [event["event"] for event in events]
    assert order.index("spike") < order.index("skip") < order.index("resume")
    assert f"the batches of steps {first['first']} to {first['last']} are passed over" in output
    passed_over = {step for skip in read_skips(events) for step in range(skip.first, skip.last + 1)}
    assert sorted(metrics(rewound)) == [step for step in range(1, 13) if step not in passed_over]
    assert saved_steps(rewound.checkpoints) == [0, 2, 4, 6, 8, 10, 12]

    again = small_run("replayed", save_every=5, spikes=spikes)
    replayed = load_config(again)
    replayed.run_folder.mkdir()
    with Journal(replayed.run_folder) as journal:
        for skip in skips:
            journal.event("skip", first=skip["first"], last=skip["last"])
    run_to_the_end(again)
    assert_same_run(rewound, replayed)
    assert [event["event"] for event in read_journal(replayed.run_folder)][len(skips) :].count("skip") == 0


def test_a_run_that_spikes_too_often_ends_with_one_line(small_run: Callable[..., Path], sigmas: float) -> None:
    spikes = {"policy": "rewind", "window": 8, "sigmas": sigmas, "margin": 0, "limit": 1}
    file = small_run("divergent", steps=40, spikes=spikes | {"sigmas": sigmas / 50})
    output = run_to_the_end(file, code=2)
    assert "1 spikes within training.spikes.window = 8 steps have been skipped already: the run diverges" in output
    assert "Traceback" not in output
    assert read_journal(load_config(file).run_folder)[-1]["event"] == "failure"
