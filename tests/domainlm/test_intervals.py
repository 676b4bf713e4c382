"""Dates of every precision by the command line: corpus, shards, data card, trace and search agree on the days."""

import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from data.corpus.split import STRADDLES

CUTOFF = "2017-07-01"
DATES: list[tuple[str | int | None, str | None]] = [
    ("2015-03-04", None),
    ("2014-05", "filed"),
    (2013, None),
    ("Winter 2010", None),
    ("2016 Nov-2017 Jan", None),
    ("2016-12-01", "crawled"),
    ("2018-02-03", None),
    ("2019-04", "filed"),
    ("2018", None),
    ("2017", None),  # these three straddle the cutoff
    ("2017 Jun-Jul", None),
    ("2017-08-01", "crawled"),
]
STRADDLING = 3


def make_run(folder: Path, write: Callable[..., Path]) -> Path:
    """A run on one source of these dates in turn."""
    chance = random.Random(1)
    words = ["harbour", *("".join(chance.choices("abcdefghilmnorstuvw", k=6)) for _ in range(400))]
    records = []
    for number in range(120):
        date, kind = DATES[number % len(DATES)]
        text = " ".join(f"harbour {chance.choice(words)} {chance.choice(words)} {number}." for _ in range(25))
        records.append({"id": f"r{number}", "text": text, "date": date, "date_kind": kind})
    (folder / "records.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    source = {"name": "records", "path": str(folder / "records.jsonl"), "domain": True}
    data = {"cutoff": CUTOFF, "past_fraction": 0.0, "sources": [source], "near_duplicates": None}
    return write(folder / "run.yaml", folder / "run", data=data)


def test_all_commands_agree_on_the_days(
    tmp_path: Path,
    write_small_config: Callable[..., Path],
    command_line: Callable[..., tuple[int, str, str]],
    read_page: Callable[[Path], Any],
) -> None:
    run = make_run(tmp_path, write_small_config)
    for command in ("prepare", "tokenize"):
        code, _, said = command_line(command, run)
        assert code == 0, said
    straddling, of_each = 10 * STRADDLING, 10
    report = json.loads((tmp_path / "run" / "corpus" / "report.json").read_bytes())["sources"]["records"]
    assert report["dropped"] == {STRADDLES: straddling}
    kept = {split: found["documents"] for split, found in report["kept"].items()}
    assert kept == {"train": 6 * of_each, "future": 3 * of_each}
    assert report["read"] == sum(kept.values()) + straddling

    card = json.loads((tmp_path / "run" / "reports" / "data_card.json").read_bytes())
    assert card["sources"]["records"]["precisions"] == {"day": 20, "longer": 20, "month": 20, "open": 10, "year": 20}
    assert card["sources"]["records"]["date_kinds"] == {"crawled": 10, "filed": 20}
    years = card["sources"]["records"]["kept"]["train"]["years"]
    assert {year: found["documents"] for year, found in years.items()} == {
        "2013": 10,
        "2014": 10,
        "2015": 10,
        "several": 30,
    }
    assert any("None of the 60 dated training documents may be of the cutoff" in check for check in card["checks"])
    page = read_page(tmp_path / "run" / "reports" / "data_card.html").words
    for said in (
        "30 that may be of either side are in neither",
        "of days of one month",
        "of no single year",
        STRADDLES,
    ):
        assert said in page, said
    assert "2017-01-01 to 2017-12-31" in page, "samples show their days"

    seen: Counter[tuple[str | None, ...]] = Counter()
    traced = {}
    for step in range(1, 13):
        code, shown, said = command_line("trace", run, "--step", str(step), "--json")
        assert code == 0, said
        for document in json.loads(shown)["documents"]:
            traced[document["id"]] = tuple(document[name] for name in ("first_date", "last_date", "date_kind"))
    seen.update(traced.values())
    assert set(seen) <= {
        ("2015-03-04", "2015-03-04", None),
        ("2014-05-01", "2014-05-31", "filed"),
        ("2013-01-01", "2013-12-31", None),
        ("2009-12-01", "2011-03-31", None),
        ("2016-11-01", "2017-01-31", None),
        (None, "2016-12-01", "crawled"),
    }
    assert len(seen) >= 5
    code, shown, said = command_line("retrieve", run, "harbour", "--date", "2014-05-30", "--passages", "200", "--json")
    assert code == 0, said
    passages = json.loads(shown)["passages"]
    assert {(passage["first_date"], passage["last_date"]) for passage in passages} == {
        ("2013-01-01", "2013-12-31"),
        ("2009-12-01", "2011-03-31"),
    }
