"""When training from scratch pays, by the plan's rules."""

import pytest

from domainlm.plan.advice import Text, short, verdict

N = 1_000_000_000


def test_ample_domain_text_is_trained_on() -> None:
    given = verdict(N, {"news": Text(20 * N, 1.0, True), "web": Text(40 * N, 0.5, False)})
    assert (given.answer, given.reasons, given.would_change) == ("train", [], [])


def test_little_domain_text_is_better_spent_on_a_general_model() -> None:
    """Four passes over 2 B tokens are worth 7.5 B, and 10 B would be half of Chinchilla's 20 a parameter."""
    given = verdict(N, {"news": Text(2 * N, 4.0, True), "web": Text(100 * N, 0.2, False)})
    assert given.answer == "do not"
    assert "2 B tokens of the domain are worth 7.45 B at 4 passes; 1 B parameters call for 10 B" in given.reasons[0]
    assert "published models" in given.reasons[1]
    assert "684 M more tokens of the domain, or 745 M parameters or fewer" in given.would_change[0]
    assert "licence" in given.would_change[1]
    cured = verdict(745_000_000, {"news": Text(2 * N, 4.0, True), "web": Text(100 * N, 0.2, False)})
    assert cured.answer == "train", "the change that it names changes it"


def test_below_what_an_ngram_needs() -> None:
    given = verdict(10_000, {"news": Text(600_000, 1.0, True)})
    assert given.answer == "do not"
    assert "an n-gram is better" in given.reasons[0]


def test_many_passes_are_named_with_the_weight_that_avoids_them() -> None:
    given = verdict(N // 100, {"news": Text(N, 8.0, True), "notes": Text(1_000_000, 40.0, True)})
    assert given.answer == "train, but"
    assert given.reasons == [
        "news is passed over 8.0 times: beyond 4 repeats lose worth",
        "notes is passed over 40 times: beyond 16 passes text is worth nothing new",
    ]
    assert given.would_change[0] == "a weight of news at 0.50 of what it is, or more text"


def test_too_few_tokens_for_the_parameters() -> None:
    """BloombergGPT: 569 B tokens for 50.6 B parameters, its authors' own reservation."""
    given = verdict(
        50_558_868_480, {"finpile": Text(363_500_000_000, 0.8, True), "public": Text(345_400_000_000, 0.8, False)}
    )
    assert given.answer == "train, but"
    assert "11.2 effective tokens a parameter" in given.reasons[0]


def test_a_run_that_goes_on_from_another_model_is_not_asked() -> None:
    assert verdict(N, {"news": Text(1000, 1.0, True)}, "models/bloom").answer == "continue"


def test_what_is_not_known_is_said() -> None:
    assert verdict(N, {}).answer == "unknown"
    unmarked = verdict(N, {"news": Text(N, 1.0, False)})
    assert unmarked.answer == "unknown"
    assert "`domain: true`" in unmarked.would_change[0]


@pytest.mark.parametrize(
    ("number", "text"),
    [(568_747_622_400, "569 B"), (8_300_000, "8.3 M"), (999_900, "1 M"), (700_000, "700 k"), (12, "12")],
)
def test_short_counts(number: float, text: str) -> None:
    assert short(number) == text
