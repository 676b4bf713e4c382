"""Figures are text as any other, and know the fields that they were made from."""

import pytest

from evaluation.pages.figures import Figure, figure, pointer


def test_a_figure_is_its_text_and_leads_to_its_field() -> None:
    made = figure(1.36, ".3f", pointer("evaluate.json", "sources", "fed", "future", "bits_per_byte"))
    assert isinstance(made, Figure)
    assert made == "1.360"
    assert made.origin == "evaluate.json#/sources/fed/future/bits_per_byte"
    assert made.files == ["evaluate.json"]


@pytest.mark.parametrize(
    ("steps", "said", "written"),
    [
        (("rare terms", 0), "a.json#/rare terms/0", "a.json#/rare%20terms/0"),
        (("a/b", "~", '"&<'), 'a.json#/a~1b/~0/"&<', "a.json#/a~1b/~0/%22%26%3C"),
        (("données",), "a.json#/données", "a.json#/donn%C3%A9es"),
        ((), "a.json#", "a.json#"),
    ],
)
def test_pointers_are_those_of_rfc_6901_in_an_address(steps: tuple[str | int, ...], said: str, written: str) -> None:
    assert pointer("a.json", *steps) == written
    assert figure(1, "d", written).origin == said


def test_what_is_made_of_several_fields_says_how() -> None:
    every, first, second = pointer("a.json", "*", "x"), pointer("a.json", "x"), pointer("b c.json", "y")
    assert figure(3, ",d", every).origin == "sum of a.json#/*/x"
    assert figure(3, ",d", every, how="median").origin == "median of a.json#/*/x"
    shown = figure(0.5, "share", first, per=[second, every])
    assert shown == "50.0%"
    assert shown.origin == "a.json#/x ÷ sum of b c.json#/y + a.json#/*/x"
    assert shown.files == ["a.json", "b%20c.json"]
    assert figure(2048, ",d", first, factor=1024).origin == "a.json#/x × 1,024"
