"""Ranks and exposures of models whose preferences are known."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from data.config import CanariesConfig
from data.corpus.canaries import Canary, make_canaries
from evaluation.audit.exposure import CANDIDATES, ask, measure_exposure
from evaluation.bits_per_byte import NOT_SCORED, Tokens
from evaluation.language_model import LanguageModel

CONFIG = CanariesConfig(number=2, repeats=(1, 3), digits=4, form="Konto {account}: {code} geheim")
CHOSEN = "4711"


def model_of(nats: np.ndarray) -> LanguageModel:
    """Reads characters; each digit d costs nats[d], all else nothing."""

    def losses(inputs: Tokens, targets: Tokens) -> np.ndarray:
        digits = targets - ord("0")
        cost = np.where((digits >= 0) & (digits < 10), nats[np.clip(digits, 0, 9)], 0.5)
        return np.where(targets == NOT_SCORED, 0.0, cost)

    return LanguageModel("m", "", 1, 64, lambda text: [0, *map(ord, text)], decode, losses, 4096, "cpu")


def decode(ids: Sequence[int]) -> str:
    return "".join(map(chr, ids))


def writes(text: str) -> "np.ndarray":
    return np.array([*map(ord, text)])


@pytest.mark.parametrize(("code", "rank"), [("0000", 1), ("9999", CANDIDATES)])
def test_the_likeliest_is_first_and_the_least_likely_last(code: str, rank: int) -> None:
    canary = Canary("1234", code, 1)
    text = canary.text(CONFIG.form)
    nats = np.arange(1.0, 11.0)

    def likeliest(inputs: Tokens) -> Tokens:
        return writes(text)[None]

    asked = ask(canary, CONFIG, model_of(nats), likeliest, seed=1)
    assert (asked.rank, asked.exposure) == (rank, math.log2(CANDIDATES / rank))
    assert asked.written
    assert not ask(canary, CONFIG, model_of(nats), lambda inputs: writes(text)[None] + 1, seed=1).written


def test_a_model_to_which_all_are_equal_exposes_none() -> None:
    asked = ask(Canary("1234", CHOSEN, 1), CONFIG, model_of(np.ones(10)), lambda inputs: inputs, seed=1)
    assert (asked.rank, asked.exposure) == (CANDIDATES, 0.0)


def test_only_the_secret_need_be_written() -> None:
    """What stands before it is asked for; a model that would have begun otherwise knows the secret all the same."""
    canary = Canary("1234", CHOSEN, 1)
    ids = writes(canary.text(CONFIG.form))
    begin = canary.text(CONFIG.form).index(CHOSEN)
    other = np.concatenate([ids[:begin] + 1, ids[begin:]])
    assert ask(canary, CONFIG, model_of(np.ones(10)), lambda inputs: other[None], seed=1).written


def test_figures_are_by_how_often_a_canary_was_planted() -> None:
    canaries = make_canaries(CONFIG, seed=0)
    known = {canary.account for canary in canaries if canary.times == 3}
    random = np.random.default_rng(0)

    def losses(inputs: Tokens, targets: Tokens) -> np.ndarray:
        cost = random.random(targets.shape)
        for row, ids in enumerate(targets):
            text = decode(ids[ids > 0])
            if text[6:10] in known and any(canary.text(CONFIG.form) == text for canary in canaries):
                cost[row] = 0.0
        return np.where(targets == NOT_SCORED, 0.0, cost)

    model = LanguageModel("m", "", 1, 64, lambda text: [0, *map(ord, text)], decode, losses, 100_000, "cpu")
    result = measure_exposure(canaries, CONFIG, model, lambda inputs: inputs, lambda canary: 2.0 * canary.times, 0)
    by_times = result["by_times_planted"]
    assert list(by_times) == ["0", "1", "3"]
    assert by_times["3"]["exposure"]["lowest"] == result["most_exposure"] == math.log2(CANDIDATES)
    assert by_times["3"]["first_of_all"]["rate"] == 1.0
    assert by_times["1"]["exposure"]["highest"] < result["most_exposure"]
    assert [by_times[times]["mean_times_seen"] for times in by_times] == [0.0, 2.0, 6.0]
    assert result["exposure_by_chance"] == pytest.approx(1 / math.log(2), abs=0.01)
