"""A file that is missing, broken or wrong is named in one line with what to do about it."""

from pathlib import Path

import pytest
from pydantic import BaseModel, PositiveInt

from data.errors import DataError
from evaluation.pages.checked_json import read_checked


class Inner(BaseModel):
    count: PositiveInt


class Outer(BaseModel):
    parts: list[Inner]


def test_a_good_file_becomes_its_model(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text('{"parts": [{"count": 3}], "more": null}')
    assert read_checked(path, Outer, "prepare") == Outer(parts=[Inner(count=3)])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"parts": [{"count": 3}, {"count": 0}]}', "parts.1.count: Input should be greater than 0"),
        ('{"parts": [', "Invalid JSON: EOF while parsing"),
        ("[]", "Input should be an object"),
        ("{}", "parts: Field required"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "file.json"
    path.write_text(content)
    with pytest.raises(DataError) as error:
        read_checked(path, Outer, "prepare")
    assert str(error.value).startswith(f"{path}: {said}")
    assert str(error.value).endswith(": run `domainlm prepare CONFIG` again")
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none.json does not exist: run `domainlm tokenize CONFIG` first"):
        read_checked(tmp_path / "none.json", Outer, "tokenize")
