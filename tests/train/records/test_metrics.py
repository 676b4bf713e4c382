"""metrics.jsonl and the console, over resumes."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from train.config import RunConfig
from train.records.metrics import Dropped, Monitor, drop_lines_after

Make = Callable[..., RunConfig]


def metrics(step: int) -> dict[str, float]:
    return {
        "step": step,
        "loss": 5.0 - step / 10,
        "learning_rate": 1e-3,
        "gradient_norm": 1.5,
        "tokens": step * 100,
        "tokens_per_second": 1000.0,
        "mfu": 0.25,
        "seconds": 2.0,
    }


def lines(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_steps_after_the_checkpoint_are_forgotten_at_resume(
    make_config: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make_config()
    config.run_folder.mkdir()
    with Monitor(config, {"ranks": 2}, resumed_at=0) as monitor:
        for step in range(1, 7):
            monitor.step(metrics(step), 12, 60.0)
        monitor.evaluation(6, {"news": {"past": 1.5}}, 0.5)
    with config.metrics.open("a") as file:
        file.write('{"step": 7, "lo')  # kill -9 in the middle of a line
    with Monitor(config, {"ranks": 2}, resumed_at=4) as monitor:
        monitor.step(metrics(5) | {"gradient_norm": float("nan")}, 12, 30.0)
    assert [line["step"] for line in lines(config.metrics)] == [1, 2, 3, 4, 5]
    assert lines(config.metrics)[-1]["gradient_norm"] is None
    assert (monitor.dropped.steps, monitor.dropped.seconds) == (2, 4.5), "of the evaluation too"
    assert abs((monitor.dropped.last_written or 0) - time.time()) < 60
    shown = capsys.readouterr().err
    assert "step  1/12  loss 4.9000  rate 1.00e-03  gradient 1.500  1,000 tokens/s  MFU 25.0%  1 min 00 s left" in shown
    assert "step 6  bits per byte: news/past 1.500" in shown


def test_what_cannot_be_said_is_left_out_and_what_was_not_measured_is_said(
    make_config: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a CPU no data sheet says of what MFU is a share; without held-out documents there are no bits per byte."""
    config = make_config()
    config.run_folder.mkdir()
    with Monitor(config, {}, resumed_at=0) as monitor:
        monitor.step({key: value for key, value in metrics(1).items() if key != "mfu"}, 12, 60.0)
        monitor.evaluation(6, {}, 0.5)
    shown = capsys.readouterr().err
    assert "1,000 tokens/s  1 min 00 s left" in shown
    assert "step 6  no bits per byte: no documents are held out (data.past_fraction, data.cutoff)" in shown


def test_no_metrics_file_is_nothing_to_drop(tmp_path: Path) -> None:
    assert drop_lines_after(tmp_path / "metrics.jsonl", 3) == Dropped(0, 0.0, None)
