"""Scaling laws against the figures that were published with them."""

import pytest

from domainlm.plan.scaling import chinchilla, effective_tokens, short, width_for_depth, worth_of_next_pass


def test_chinchilla_gives_the_published_optimum() -> None:
    """The budget of arXiv 2303.17564: 1.3 M GPU-hours of 100 TFLOP/s, a quarter of them recomputation."""
    first, second = chinchilla(0.75 * 1.3e6 * 3600 * 100e12)
    assert (first.approach, second.approach) == (1, 2)
    assert first.parameters == pytest.approx(52.993e9, rel=1e-3)
    assert first.tokens == pytest.approx(1_111.1e9, rel=1e-3)
    assert second.parameters == pytest.approx(49.754e9, rel=1e-3)
    assert second.tokens == pytest.approx(1_175.8e9, rel=1e-3)


def test_repeated_tokens_are_worth_less_each_time() -> None:
    assert effective_tokens(100, 0.5) == 50
    assert effective_tokens(100, 1) == 100
    assert effective_tokens(100, 4) == pytest.approx(373, abs=0.5)
    assert effective_tokens(100, 16) == pytest.approx(1058, abs=0.5)


def test_a_further_pass_is_worth_what_the_law_gains_by_it() -> None:
    for passes in (1, 4, 16, 40):
        gained = effective_tokens(1, passes + 1e-6) - effective_tokens(1, passes)
        assert worth_of_next_pass(passes) == pytest.approx(gained / 1e-6, rel=1e-4)
    assert worth_of_next_pass(0.5) == 1
    assert worth_of_next_pass(16) == pytest.approx(0.377, abs=1e-3), "not nothing"


def test_width_for_depth() -> None:
    assert width_for_depth(70) == pytest.approx(7_510, rel=1e-3)


@pytest.mark.parametrize(
    ("number", "text"),
    [(568_747_622_400, "569 B"), (8_300_000, "8.3 M"), (999_900, "1 M"), (700_000, "700 k"), (12, "12")],
)
def test_short_counts(number: float, text: str) -> None:
    assert short(number) == text
