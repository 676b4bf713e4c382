"""The verdict: what the figures say, and what would change it."""

from dataclasses import replace
from typing import Any

import pytest

from evaluation.comparison import Compared, comparison_json, verdict


def figure(value: float, difference: tuple[float, float | None, float | None] | None = None) -> dict[str, Any]:
    made = {"bits_per_byte": value, "low": value - 0.05, "high": value + 0.05, "documents": 40}
    return made | ({"difference": dict(zip(("value", "low", "high"), difference, strict=True))} if difference else {})


def model(name: str, made: dict[str, Any], split: str = "future", group: str = "domain", size: int = 10) -> Compared:
    groups = {group: {split: made}}
    return Compared(name, {"sources": {"bank": {split: made}}, "periods": {}, "groups": groups}, {}, size)


OURS = model("ours", figure(1.0))


@pytest.mark.parametrize(
    ("difference", "says"),
    [
        ((0.2, 0.1, 0.3), "ours is better for this text"),
        ((-0.2, -0.3, -0.1), "it is better for this text, and ours was not worth it unless"),
        (
            (0.05, -0.05, 0.15),
            "cannot be told apart from it: the difference is +0.050 (-0.050 to +0.150); about 4 times",
        ),
        ((0.05, None, None), "needs 0.050 more, of 40 documents: too few for an interval"),
    ],
)
def test_each_case_has_its_words(difference: tuple[float, float | None, float | None], says: str) -> None:
    other = model("general", figure(1.0 + difference[0], difference), size=50)
    said = verdict([OURS, other])
    assert says in said
    assert "general (5 times the parameters)" in said
    assert "needs the fewest bits per byte" in said


def test_who_has_read_the_text_is_not_judged_by_it() -> None:
    reader = model("reader", figure(0.5, (-0.5, -0.6, -0.4)))
    said = verdict([OURS, replace(reader, already_read={"future": 3})])
    assert "ours needs the fewest bits per byte, of the models to which it is new, 1.000" in said
    assert "reader (1 times the parameters) was trained on 3 of these documents" in said
    assert "was not worth it" not in said
    assert "ours was not worth it" in verdict([OURS, replace(reader, already_read={"past": 3})])


def test_text_of_the_domain_and_of_later_decides_where_there_is_some() -> None:
    assert "held-out domain text of the cutoff and later" in verdict([OURS, model("b", figure(2.0, (1.0, 0.9, 1.1)))])
    past = [model("a", figure(1.0), "past"), model("b", figure(2.0, (1.0, 0.9, 1.1)), "past")]
    assert "held-out domain text of the same time" in verdict(past)
    general = [model("a", figure(1.0), "past", "general"), model("b", figure(2.0, (1, 0.9, 1.1)), "past", "general")]
    assert "held-out general text" in verdict(general)


def test_nothing_to_compare_is_said() -> None:
    assert verdict([OURS]) == "Nothing is compared with ours: name a general model, or another run."
    empty = Compared("a", {"sources": {}, "periods": {}, "groups": {}}, {}, 1)
    assert "nothing can be said" in verdict([empty, empty])


def test_json_keeps_its_contract() -> None:
    result = comparison_json([OURS, model("general", figure(1.2, (0.2, 0.1, 0.3)))])
    assert [each["name"] for each in result["models"]] == ["ours", "general"]
    assert result["models"][0]["bits_per_byte"] == {"bank": {"future": {"value": 1.0, "low": 0.95, "high": 1.05}}}
    assert {"tasks", "cost"} <= result["models"][1].keys()
    assert isinstance(result["verdict"], str)
