import math
from typing import Any

import pytest
from pydantic import ValidationError

from data.source_config import SourceConfig


def test_the_least_that_a_source_needs() -> None:
    source = SourceConfig(name="news", path="news.jsonl")
    assert (source.undated, source.weight, source.domain, source.text_field) == ("refuse", None, False, "text")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight": 0}, "greater than 0"),
        ({"weight": -1.0}, "greater than 0"),
        ({"weight": math.inf}, "finite"),
        ({"weight": math.nan}, "finite|greater"),
        ({"name": "Fed News"}, "pattern"),
        ({"name": "../up"}, "pattern"),
        ({"name": "a\n"}, "pattern"),
        ({"path": ""}, "at least 1 character"),
        ({"undated": "maybe"}, "'refuse', 'quarantine' or 'train'"),
        ({"colour": "red"}, "Extra inputs are not permitted"),
        ({"format": "word"}, "'jsonl', 'parquet', 'text', 'edgar'"),
        ({"format": "jats", "edgar": {}}, "edgar: settings of another format than jats: leave them out"),
        ({"format": "jsonl", "path": "hub://a/b"}, "hub:// has a format of its own: leave out format: jsonl"),
        ({"earliest_date": "2024-06-30T00:00:00Z"}, "is a moment"),
    ],
)
def test_what_cannot_be_meant_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SourceConfig.model_validate({"name": "news", "path": "a.jsonl", **changes})
