"""The mixtures that are tried."""

import numpy as np
import pytest

from domainlm.mixture.swarm import LEAST, default_runs, fewest_runs, rounded, swarm


@pytest.mark.parametrize("sources", [2, 3, 5, 12])
def test_a_swarm_has_the_configured_mixture_first_and_fits_a_law(sources: int) -> None:
    configured = {f"s{number}": 1.0 + number for number in range(sources)}
    mixtures = swarm(configured, default_runs(sources), seed=3)
    assert mixtures == swarm(configured, default_runs(sources), seed=3)
    assert mixtures != swarm(configured, default_runs(sources), seed=4)
    total = sum(configured.values())
    assert list(mixtures[0].values()) == pytest.approx([weight / total for weight in configured.values()])
    shares = np.array([list(mixture.values()) for mixture in mixtures])
    assert shares.sum(1) == pytest.approx(np.ones(len(shares)))
    assert shares[1:].min() >= LEAST - 1e-3
    assert len(mixtures) >= fewest_runs(sources)
    assert np.linalg.matrix_rank(shares) == sources


def test_shares_are_rounded_to_a_whole() -> None:
    assert rounded(np.array([0.33333, 0.33333, 0.33334])).tolist() == pytest.approx([0.334, 0.333, 0.333])
    assert rounded(np.array([0.9999, 0.0001])).tolist() == [0.9999, 0.0001]


def test_a_small_share_is_not_made_a_larger_one() -> None:
    """A domain of 4 ten-thousandths is read 2.5 times as often at a thousandth."""
    assert swarm({"domain": 0.0004, "web": 1.0}, 4, seed=3)[0]["domain"] == pytest.approx(0.0004 / 1.0004, rel=1e-12)
    assert rounded(np.array([0.000612345, 0.999387655])).tolist() == [0.000612, 0.999388]
