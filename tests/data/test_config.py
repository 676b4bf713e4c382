from typing import Any

import pytest
from pydantic import ValidationError

from data.config import DataConfig, TokenizerConfig
from data.source_config import SourceConfig


def sources(*changes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": f"source_{index}", "path": "a.jsonl", **change} for index, change in enumerate(changes)]


def test_defaults() -> None:
    config = DataConfig(sources=(SourceConfig(name="news", path="news.jsonl"),))
    assert config.cutoff is None
    assert (config.past_fraction, config.minimum_characters, config.maximum_bad_fraction) == (0.01, 50, 0.01)
    assert (config.sources[0].undated, config.sources[0].weight, config.sources[0].domain) == ("refuse", None, False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sources": []}, "at least 1 item"),
        ({"sources": sources({"name": "a"}, {"name": "a"})}, "more than one is called a"),
        ({"sources": sources({"weight": 0.5}, {})}, "give every source a weight or none: source_1 has none"),
        ({"cutoff": "soon"}, "valid date"),
        ({"cutoff": "2024-06-30T00:00:00+14:00"}, "is a moment: write the day that it is in UTC"),
        ({"cutoff": "2020-W01"}, "is a week: write a day"),
        ({"cutoff": 1728000000}, "is a number"),
        ({"cutoff": "1728000000"}, "valid date"),
        ({"cutoff": "20131200"}, "valid date"),
        (
            {"near_duplicates": {"threshold": 0.5}},
            "find only 12% of the pairs of similarity 0.5: take 36 bands of 4 rows",
        ),
        ({"past_fraction": 1.0}, "less than 1"),
        ({"past_fraction": -0.1}, "greater than or equal to 0"),
        ({"maximum_bad_fraction": 1.5}, "less than or equal to 1"),
        ({"minimum_characters": 10, "maximum_characters": 9}, "minimum_characters 10 is above maximum_characters 9"),
        ({"folder": 3}, "valid string"),
    ],
)
def test_what_cannot_be_meant_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DataConfig.model_validate({"sources": sources({}), **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocabulary_size": 257}, "greater than 257"),
        ({"kind": "wordpiece"}, "'bpe' or 'unigram'"),
        ({"training_bytes": 0}, "greater than 0"),
        ({"pretokenization": "none"}, "'bloomberggpt' or 'words'"),
    ],
)
def test_a_tokenizer_that_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TokenizerConfig.model_validate({"vocabulary_size": 4096, **changes})


def test_the_models_cannot_be_changed() -> None:
    config = TokenizerConfig(vocabulary_size=258)
    with pytest.raises(ValidationError, match="frozen"):
        config.vocabulary_size = 300  # type: ignore[misc]
