"""The settings of an adapter: what they come to, and what contradicts what."""

import re

import pytest
from pydantic import ValidationError

from model.lora.config import LoraConfig


def test_the_scale_is_alpha_by_rank_or_by_its_root() -> None:
    assert LoraConfig(rank=16, alpha=32).scale == 2
    assert LoraConfig(rank=16, alpha=32, rank_stabilised=True).scale == 8


def test_rows_are_those_of_new_tokens_and_of_named_ones() -> None:
    assert LoraConfig().trained_rows(10, 10) == ()
    assert LoraConfig(embeddings="new", tokens=(3, 11)).trained_rows(10, 12) == (3, 10, 11)
    assert LoraConfig(embeddings="new").trained_rows(10, 12, added=(8,)) == (8, 10, 11)
    assert LoraConfig(embeddings="all").trained_rows(10, 12) == ()


@pytest.mark.parametrize(
    ("settings", "rows", "says"),
    [
        ({}, 12, "the vocabulary has 2 rows that the base does not have"),
        ({"embeddings": "new"}, 10, "lora.embeddings is new, but the base has all 10 rows"),
        ({"tokens": (10,)}, 10, "lora.tokens names 10, and the vocabulary ends at 9"),
    ],
)
def test_rows_that_cannot_be_trained_are_refused(settings: dict[str, object], rows: int, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        LoraConfig.model_validate(settings).trained_rows(10, rows)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"targets": ["q_proj"]}, "Input should be 'attention' or 'feed_forward'"),
        ({"targets": []}, "at least 1 item"),
        ({"rank": 0}, "greater than 0"),
        ({"dropout": 1.0}, "less than 1"),
        ({"embeddings": "all", "tokens": [3]}, "leave one of them out"),
        ({"use_dora": True}, "Extra inputs"),
    ],
)
def test_contradictions_are_refused(settings: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(says)):
        LoraConfig.model_validate(settings)
