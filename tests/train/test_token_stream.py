"""The run's stream: stages and reshuffles at their steps; shards that do not fit the run are refused."""

from collections.abc import Callable

import pytest

from data.errors import DataError
from domainlm.plan.build import plan
from train.config import RunConfig
from train.token_stream import open_stream

Make = Callable[..., RunConfig]
MakeData = Callable[[RunConfig], None]


def test_stages_and_reshuffles_begin_at_their_step(make_config: Make, make_data: MakeData) -> None:
    config = make_config()
    make_data(config)
    stage = {"from_step": 7, "weights": {"news": 0.0, "general": 1.0}}
    changed = make_config(data={"stages": [stage], "reshuffles": {4: 1}})
    plain, stream = open_stream(config), open_stream(changed)
    assert list(stream.shares) == [0, 48]
    assert stream.reshuffles == {24: 1}
    assert stream.digest(24) == plain.digest(24)
    assert {pieces[0].source for pieces in stream.pieces(48, 48)} == {"general"}
    before = plain.epochs(48)["news"] * plain.passes["news"]
    assert plan(changed).mixture["news"] == pytest.approx(before / 96)


def test_shards_that_are_not_packed_are_refused(make_config: Make, make_data: MakeData) -> None:
    make_data(make_config())
    with pytest.raises(DataError, match=r"packed/concatenate-32/manifest.json does not exist: run `domainlm tokenize"):
        open_stream(make_config(data={"packing": "concatenate"}))


def test_a_vocabulary_larger_than_the_models_is_refused(make_config: Make, make_data: MakeData) -> None:
    make_data(make_config())
    smaller = make_config(model={"vocabulary_size": 300}, tokenizer={"vocabulary_size": 300})
    with pytest.raises(DataError, match=r"token ids go up to 399, but model.vocabulary_size is 300: set it to 400"):
        open_stream(smaller)
