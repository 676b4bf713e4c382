"""The plan's figures against the published ones, and what it says once the shards exist."""

from collections.abc import Callable

import pytest

from data.corpus import prepare_corpus
from data.encode import encode_corpus
from data.errors import DataError
from data.tokenizer import build_tokenizer
from train.config import CHECKOUT, RunConfig
from train.config_file import load_config
from train.plan import describe, open_stream, plan

Make = Callable[..., RunConfig]


def build_shards(config: RunConfig) -> None:
    prepare_corpus(config.data, config.corpus, config.seed)
    build_tokenizer(config.tokenizer, config.corpus, config.tokenizer_folder)
    encode_corpus(config.corpus, config.tokenizer_folder, config.shards, config.seed)


def test_bloomberggpt() -> None:
    planned = plan(load_config(CHECKOUT / "configs" / "bloomberggpt-50b.yaml"))
    assert planned.parameters == 50_558_868_480
    assert planned.tokens == 568_747_622_400
    assert planned.steps == 139_200
    # 3 (24 L D² + 2 V D + 4 L D s)
    assert planned.flop_per_token == 3 * (24 * 70 * 7680**2 + 2 * 131072 * 7680 + 4 * 70 * 7680 * 2048)


def test_without_shards_nothing_is_invented(make_config: Make) -> None:
    planned = plan(make_config())
    assert planned.epochs == {}
    assert "known after `domainlm tokenize`" in describe(planned)


def test_with_shards_passes_follow_from_the_mixture(make_config: Make) -> None:
    config = make_config()
    build_shards(config)
    planned = plan(config)
    assert planned.mixture == {"news": 0.7, "general": 0.3}
    assert planned.samples == 12 * 8
    for name, share in planned.mixture.items():
        rows = (planned.training_tokens[name] - 1) // 32
        assert planned.epochs[name] == pytest.approx(planned.samples * share / rows, abs=1 / rows)
    assert "passes" in describe(planned)


def test_a_vocabulary_larger_than_the_models_is_refused(make_config: Make) -> None:
    build_shards(make_config())
    smaller = make_config(model={"vocabulary_size": 300}, tokenizer={"vocabulary_size": 300})
    with pytest.raises(DataError, match=r"token ids go up to 399, but model.vocabulary_size is 300: set it to 400"):
        open_stream(smaller)
