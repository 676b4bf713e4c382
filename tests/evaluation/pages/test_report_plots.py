"""Plots of awkward figures: single points, losses that are not numbers, nothing at all."""

import math

import numpy as np
import pytest

from evaluation.pages.charts import Curves
from evaluation.pages.html import plot_table
from evaluation.pages.report_plots import baselines_plot, bits_per_byte_plot, periods_plot, smooth, training_plots


def test_smoothing_is_the_mean_of_the_finite_values_around() -> None:
    values = np.array([1.0, 3.0, math.nan, 5.0, 10.0])
    np.testing.assert_allclose(smooth(values, 3), [2, 2, 4, 7.5, 7.5])
    np.testing.assert_array_equal(smooth(values, 1), values)
    np.testing.assert_allclose(smooth(values, 99), np.full(5, 19 / 4))


@pytest.mark.parametrize("count", [1, 2, 300])
def test_training_plots_of_what_was_recorded(count: int) -> None:
    steps = [{"step": step, "loss": math.nan if step == 2 else 1 / step} for step in range(1, count + 1)]
    plots = training_plots(steps)
    assert [plot.name for plot in plots] == ["loss"]
    assert plots[0].png.startswith(b"\x89PNG")
    assert plots[0].png == training_plots(steps)[0].png


def test_nothing_recorded_is_no_plot() -> None:
    assert training_plots([]) == []
    assert bits_per_byte_plot([]) == []
    assert bits_per_byte_plot([{"step": 1, "evaluation": {}}]) == []
    assert baselines_plot({}, {}) == []
    assert periods_plot({}) == []
    assert periods_plot({"bank": {"future": {"2020": {"bits_per_byte": 1.0}}}}) == []


@pytest.mark.parametrize("labels", [("2019", "2020"), ("2019-Q4", "2020-Q1"), ("2019-12", "2020-01")])
def test_periods_of_any_kind_are_drawn(labels: tuple[str, str]) -> None:
    (plot,) = periods_plot({"bank": {"future": {label: {"bits_per_byte": 1.0} for label in labels}}})
    assert plot.png.startswith(b"\x89PNG")


def test_bars_without_baselines_and_of_many_sources() -> None:
    sources = {f"source {number}": {"past": {"bits_per_byte": 1.0 + number}} for number in range(5)}
    (plot,) = baselines_plot(sources, {})
    assert plot.png.startswith(b"\x89PNG")


def test_a_step_that_was_done_again_is_one_point() -> None:
    steps = [{"step": step, "loss": loss} for step, loss in ((1, 9.0), (2, 8.0), (3, 7.0), (2, 6.0), (3, 5.0))]
    evaluations = [{"step": 2, "evaluation": {"bank": {"past": value}}} for value in (1.5, 1.25)]
    (loss,) = training_plots(steps)
    (measured,) = bits_per_byte_plot([*steps, *evaluations])
    for plot, said in ((loss, ["9.000", "6.000", "5.000"]), (measured, ["1.250"])):
        assert isinstance(plot.chart, Curves)
        (points,) = (curve.points for curve in plot.chart.curves)
        assert [point.figure for point in points] == said
        assert [row.cells for row in plot_table(plot.chart).rows] == [[text] for text in said]
