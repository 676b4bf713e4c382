"""A corpus's report is taken only when it is whole and its own sums agree."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from data.errors import DataError
from evaluation.data_card.corpus_report import read_corpus_report

KEPT = {"documents": 3, "characters": 40, "bytes": 44, "first_date": "1999-02-03", "last_date": None}
SOURCE: dict[str, Any] = {
    "path": "news/*.jsonl",
    "licence": None,
    "language": "en",
    "read": 10,
    "kept": {"train": KEPT, "past": KEPT | {"documents": 1}},
    "dropped": {"duplicate": 2, "too short": 1},
    "quarantined": {"no text": 3},
    "scrubbed": {"email": 4},
    "removed_lines": 0,
    "licences": {"CC0": 3, "unknown": 1},
    "samples": {"too short": [{"id": "a", "file": "news/1.jsonl", "line": 3, "text": "Short."}]},
}
REPORT: dict[str, Any] = {
    "sources": {"news": SOURCE},
    "near_duplicates": None,
    "contamination": {
        "items": 3,
        "too_short": 0,
        "action": "remove",
        "touched": {"items.jsonl:1": {"documents": 1, "first": ["n7"]}},
    },
    "tombstones": 0,
    "cutoff": "2001-01-01",
    "seed": 1,
}


def write(folder: Path, **changes: Any) -> Path:
    content = copy.deepcopy(REPORT)
    content["sources"]["news"] |= changes
    (folder / "report.json").write_text(json.dumps(content))
    return folder


def test_a_report_is_read_with_its_types(tmp_path: Path) -> None:
    report = read_corpus_report(write(tmp_path))
    news = report.sources["news"]
    assert (news.documents, news.kept["train"].first_date.isoformat(), report.cutoff.year) == (4, "1999-02-03", 2001)
    assert news.samples["too short"][0].line == 3
    assert json.loads(report.model_dump_json(exclude_unset=True)) == REPORT


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"read": 11}, "sources.news: 11 records were read, but 4 kept, 3 dropped and 3 quarantined"),
        ({"licences": {"CC0": 3}}, "sources.news: 4 documents were kept, but 3 counted by licence"),
        ({"dropped": {"duplicate": -1}}, "sources.news.dropped.duplicate: Input should be greater than"),
        ({"samples": None}, "sources.news.samples: Input should be an object"),
    ],
)
def test_what_does_not_agree_is_named(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError) as error:
        read_corpus_report(write(tmp_path, **changes))
    assert str(error.value).startswith(f"{tmp_path / 'report.json'}: {said}")
    assert str(error.value).endswith(": run `domainlm prepare CONFIG` again")
    assert "\n" not in str(error.value)
