"""Points of long curves are chosen evenly, from the first to the last."""

import itertools

import pytest

from evaluation.pages.charts import MOST_POINTS, evenly


@pytest.mark.parametrize("count", [0, 1, 2, MOST_POINTS, MOST_POINTS + 1, 100_000])
def test_evenly_chosen_places_reach_both_ends(count: int) -> None:
    places = evenly(count)
    assert len(places) == min(count, MOST_POINTS)
    assert places == sorted(set(places))
    if count:
        assert (places[0], places[-1]) == (0, count - 1)
        steps = {after - before for before, after in itertools.pairwise(places)}
        assert max(steps, default=1) - min(steps, default=1) <= 1
