import datetime
import hashlib

from hypothesis import given
from hypothesis import strategies as st

from data.config import DataConfig
from data.corpus.split import STRADDLES, held_out_of_nothing, is_sampled, split
from data.interval import Interval

CUTOFF = datetime.date(2018, 12, 31)
digests = st.binary(min_size=16, max_size=16)
intervals = st.builds(
    lambda one, other, is_open: Interval(None if is_open else min(one, other), max(one, other)),
    st.dates(),
    st.dates(),
    st.booleans(),
)

GOLDEN = [2, 7, 18, 28, 35, 37]  # of many(50), the past of seed 1


def many(count: int) -> list[bytes]:
    return [hashlib.blake2b(str(index).encode(), digest_size=16).digest() for index in range(count)]


def test_the_day_of_the_cutoff_is_held_out() -> None:
    digest = b"\0" * 16
    own, before = Interval.of_day(CUTOFF), CUTOFF - datetime.timedelta(days=1)
    assert split(own, digest, CUTOFF, 0.0, 1) == "future"
    assert split(Interval.of_day(before), digest, CUTOFF, 0.0, 1) == "train"
    assert split(Interval(before, CUTOFF), digest, CUTOFF, 0.0, 1) == STRADDLES
    assert split(Interval(None, CUTOFF), digest, CUTOFF, 0.0, 1) == STRADDLES
    assert split(Interval(None, before), digest, CUTOFF, 0.0, 1) == "train"
    assert split(own, digest, None, 0.0, 1) == "train"
    assert split(None, digest, CUTOFF, 0.0, 1) == "train"


def test_golden_values() -> None:
    # Any change here moves documents between the splits of corpora that exist.
    assert [index for index, digest in enumerate(many(50)) if split(None, digest, None, 0.1, 1) == "past"] == GOLDEN


def test_the_fraction_is_met() -> None:
    for fraction in (0.0, 0.01, 0.3, 0.999):
        past = sum(split(None, digest, None, fraction, 7) == "past" for digest in many(20_000))
        spread = (20_000 * fraction * (1 - fraction)) ** 0.5
        assert abs(past - 20_000 * fraction) <= 4 * spread


def test_seeds_choose_differently() -> None:
    one, two = (
        {digest for digest in many(5_000) if split(None, digest, None, 0.1, seed) == "past"} for seed in (1, -2)
    )
    assert len(one & two) < 0.2 * len(one)


@given(st.none() | intervals, digests, st.none() | st.dates(), st.floats(0, 0.999), st.integers())
def test_equal_texts_are_on_one_side_of_the_past(
    date: Interval | None, digest: bytes, cutoff: datetime.date | None, fraction: float, seed: int
) -> None:
    first = split(date, digest, cutoff, fraction, seed)
    is_dated = cutoff is not None and date is not None
    assert (first == "future") == (is_dated and date.first is not None and date.first >= cutoff)
    assert (first in ("train", "past")) == (not is_dated or date.last < cutoff)
    if first in ("train", "past"):
        assert split(None, digest, cutoff, fraction, seed) == first


@given(digests, st.floats(0, 0.999), st.floats(0, 0.999), st.integers())
def test_a_larger_past_holds_the_smaller(digest: bytes, one: float, two: float, seed: int) -> None:
    small, large = sorted((one, two))
    if split(None, digest, None, small, seed) == "past":
        assert split(None, digest, None, large, seed) == "past"


@given(digests, st.floats(0.01, 1), st.floats(0.01, 1), st.integers())
def test_a_larger_sample_of_the_future_holds_the_smaller(digest: bytes, one: float, two: float, seed: int) -> None:
    small, large = sorted((one, two))
    assert is_sampled(digest, large, seed) or not is_sampled(digest, small, seed)
    assert is_sampled(digest, 1.0, seed)


def test_a_split_that_was_asked_for_and_is_empty_is_said() -> None:
    sources = [
        {"name": "news", "path": "news.jsonl"},
        {"name": "wiki", "path": "wiki.jsonl", "undated": "train"},
        {"name": "full", "path": "full.jsonl"},
    ]
    config = DataConfig.model_validate({"cutoff": "2020-01-01", "past_fraction": 0.02, "sources": sources})
    news_past, news_future, wiki_past = held_out_of_nothing(config, {"full": ["train", "past", "future"]})
    assert news_past.startswith("news: nothing is held out as `past`, data.past_fraction 0.02 drew none")
    assert news_future == (
        "news: nothing is held out as `future`, no document of it is surely of data.cutoff 2020-01-01 or later"
    )
    assert wiki_past.startswith("wiki: nothing is held out as `past`")
    unasked = config.model_copy(update={"cutoff": None, "past_fraction": 0.0})
    assert held_out_of_nothing(unasked, {}) == []
