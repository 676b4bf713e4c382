"""When training from scratch pays, by the plan's rules."""

import pytest

from domainlm.plan.verdict import Text, domain_share, is_mixture, verdict, worth

N = 1_000_000_000


def test_ample_domain_text_is_trained_on() -> None:
    given = verdict(N, {"news": Text(20 * N, 1.0, True), "web": Text(40 * N, 0.5, False)})
    assert (given.answer, given.reasons, given.would_change) == ("train", [], [])


def test_little_domain_text_beside_enough_general_text_is_no_reason_against_it() -> None:
    """2 B tokens of the domain for 1 B parameters, which an older rule refused: general text is learnt from too."""
    given = verdict(N, {"news": Text(2 * N, 4.0, True), "web": Text(100 * N, 0.2, False)})
    assert given.answer == "train"


@pytest.mark.parametrize(
    ("passes", "answer", "says"),
    [
        (2.0, "train", "news is passed over 2.0 times: its weight may grow"),
        (15.0, "train", "the domain is 2.9% of what is read: at 0.1 to 10 % from the first step, passed over 10 to 50"),
        (40.0, "train", "news is passed over 40 times: another study reused such text 15 to 20 times (arXiv"),
        (80.0, "train, but", "news is passed over 80 times: beyond 50 no mixture was measured"),
    ],
)
def test_a_domain_that_is_mixed_in_is_judged_as_a_mixture(passes: float, answer: str, says: str) -> None:
    """50 M tokens for 1 B parameters beside 25 B general ones, 40 B at 80 passes: 0.4 to 9 %."""
    texts = {"news": Text(N // 20, passes, True), "web": Text(100 * N, 0.25 if passes < 80 else 0.4, False)}
    assert is_mixture(texts)
    given = verdict(N, texts)
    assert given.answer == answer
    assert any(reason.startswith(says) for reason in given.reasons), given.reasons
    assert any("(arXiv 2603.16177, three domains)" in reason for reason in given.reasons)
    assert given.would_change == (["a weight of news at 0.62 of what it is, or more text"] if passes == 80 else [])


def test_what_a_mixtures_repeats_are_worth_is_not_said_to_be_known() -> None:
    """The law of repeats was measured on text repeated as the whole corpus; up to four passes nearly all is new."""
    web = Text(100 * N, 0.25, False)
    assert worth({"news": Text(N // 20, 40, True), "web": web}) == {"news": None, "web": 25 * N}
    assert worth({"news": Text(N // 20, 4, True), "web": web})["news"] == pytest.approx(0.1863 * N, rel=1e-3)
    assert worth({"news": Text(10 * N, 40, True), "web": web})["news"] == pytest.approx(151.69 * N, rel=1e-3)
    assert worth({}) == {}
    assert domain_share({"news": Text(N, 0.0, True)}) == 0


def test_a_share_below_what_was_measured_is_named() -> None:
    given = verdict(N, {"news": Text(N // 1000, 20, True), "web": Text(100 * N, 0.25, False)})
    assert given.answer == "train, but"
    assert given.reasons == [
        "the domain is 0.0008 of what is read: less than 0.1 % was not measured (arXiv 2603.16177)"
    ]


def test_too_little_text_in_all_is_better_spent_on_a_general_model() -> None:
    """Four passes over 2 B tokens are worth 7.5 B, and 10 B would be half of Chinchilla's 20 a parameter."""
    given = verdict(N, {"news": Text(2 * N, 4.0, True)})
    assert given.answer == "do not"
    assert "2 B tokens of text are worth 7.45 B at 4 passes" in given.reasons[0]
    assert "1 B parameters call for 10 B" in given.reasons[0]
    assert "trained further on the same text" in given.reasons[1]
    assert "684 M more tokens of any text, general text too" in given.would_change[0]
    assert given.would_change[1] == "745 M parameters or fewer"
    assert "licence" in given.would_change[2]
    for cured in (
        verdict(745_000_000, {"news": Text(2 * N, 4.0, True)}),
        verdict(N, {"news": Text(2 * N, 4.0, True), "web": Text(684_500_000, 4.0, False)}),
    ):
        assert cured.answer == "train, but", "the change that it names changes it"


def test_below_what_an_ngram_needs() -> None:
    given = verdict(10_000, {"news": Text(600_000, 1.0, True)})
    assert given.answer == "do not"
    assert "an n-gram is better" in given.reasons[0]


def test_many_passes_over_most_of_the_text_are_named_with_what_a_further_one_is_worth() -> None:
    """exp(-(passes - 1) / 15.39): 63 % after 8 passes, 8 % after 40; the law is of text that is the whole corpus."""
    given = verdict(N // 100, {"news": Text(N, 8.0, True), "notes": Text(1_000_000, 40.0, True)})
    assert given.answer == "train, but"
    assert given.reasons == [
        "news is passed over 8.0 times: a further pass is worth 63% of new text (Muennighoff et al. 2023, on text "
        "repeated as the whole corpus; here it is 100% of what is read)",
        "notes is passed over 40.0 times: a further pass is worth 8% of new text (Muennighoff et al. 2023, on text "
        "repeated as the whole corpus; here it is 0% of what is read); beside so much other text repeats may be worth "
        "more (arXiv 2605.12715)",
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
    unknown = verdict(N, {}, tokens=20 * N, share=0.02)
    assert unknown.answer == "unknown"
    assert unknown.would_change == [
        "training from scratch calls for about 2.68 B tokens of text or more, general text included",
        "by its weights 400 M of 20 B tokens that the run reads are of the domain: 50 passes over 8 M",
    ]
    assert "4 passes over 2.5 B" in verdict(N, {}, tokens=20 * N, share=0.5).would_change[1]
    assert len(verdict(N, {}).would_change) == 1
    unmarked = verdict(N, {"news": Text(10 * N, 1.0, False)})
    assert unmarked.answer == "unknown"
    assert "`domain: true`" in unmarked.would_change[0]
