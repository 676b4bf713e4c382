import base64
import random
import re

import pytest

from data.cleaning.filters import make_filter

HEAD = "HARBOUR & MILL TRUST\nCONSOLIDATED STATEMENTS OF INCOME\n(In thousands, except per share data)\nYear Ended\n"
NOUNS = re.findall(r"\w+", "harbour mill dock crane rope tide ferry pilot quay buoy lamp barge salt grain timber coal")


def table(rows: int, seed: int = 1) -> str:
    """A page of a report: headings, and a label and three figures in each line."""
    draw = random.Random(seed)
    lines = ["January 29, 2023 | January 30, 2022 | January 31, 2021"]
    for _ in range(rows):
        label = " ".join(draw.sample(NOUNS, 2)).capitalize()
        lines.append(" | ".join([label, *(f"${draw.randrange(10**6):,}" for _ in range(2)), "—"]))
    return HEAD + "\n".join(lines)


def prose(sentences: int, seed: int = 2) -> str:
    draw = random.Random(seed)
    return " ".join(f"The {' of the '.join(draw.sample(NOUNS, 4))} was sold." for _ in range(sentences))


KEPT = {
    "a table": table(60),
    "a table as printed": re.sub(r" \| ", " ...........   ", table(40)) + "\n" + "=" * 400,
    "prose": prose(100),
    "a short notice": "None of the " + " ".join(NOUNS) + ", as far as the company knows.",
}
BROKEN = {
    "words": "Page 7 of 9",
    "mean word length": " ".join(prose(50)),
    "lost characters": prose(50).replace("a", "\ufffd"),
    "tags": "".join(f"<td>{word}</td> " for word in prose(50).split()),
    "letters and digits": " ".join(f"{word[:3]}#@!" for word in prose(50).split()),
    "long words": prose(5)
    + "".join("\n" + base64.b64encode(random.Random(line).randbytes(45)).decode() for line in range(9)),
    "letters": "\n".join(f"{number * 7919 % 99991} {number}" for number in range(99)),
    "repeated text": table(8) * 40,
}


@pytest.mark.parametrize("name", KEPT)
def test_tables_and_prose_stay(name: str) -> None:
    assert make_filter(["filings"], None)(KEPT[name]) is None


@pytest.mark.parametrize("rule", BROKEN)
def test_what_is_broken_goes_by_the_rule_that_says_how(rule: str) -> None:
    assert make_filter(["filings"], None)(BROKEN[rule]) == f"filings: {rule}"


def test_the_rules_of_web_text_drop_the_same_table() -> None:
    assert make_filter(["gopher_quality"], None)(KEPT["a table"])
    assert make_filter(["fineweb"], None)(KEPT["a table"])
