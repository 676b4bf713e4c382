import datetime
from pathlib import Path

import pytest

from data.cleaning.personal import make_scrubber
from data.config import NearDuplicateConfig
from data.corpus.samples import Sample, make_sample, shown_samples
from data.corpus.tombstones import Request, forget, read_tombstones

NEAR = NearDuplicateConfig()
TEXT = " ".join(f"word{number}" for number in range(100))
EDITED = TEXT.replace("word50", "another")
OTHER = " ".join(f"other{number}" for number in range(100))


def sample(name: str, text: str, near: NearDuplicateConfig | None = NEAR) -> Sample:
    return make_sample(name, "a.jsonl", 1, text, near)


def test_a_sample_is_short_and_without_personal_data() -> None:
    scrub = make_scrubber(["email"])
    text = "write to jane.roe@example.org " + "x" * 1_000
    made = make_sample("d", "a.jsonl", 4, text, NEAR, lambda text: scrub(text)[0], "news/e")
    assert made["text"] == ("write to <EMAIL> " + "x" * 1_000)[:200]
    assert (made["id"], made["file"], made["line"], made["resembles"]) == ("d", "a.jsonl", 4, "news/e")


def test_personal_data_at_the_end_of_what_is_shown_is_not_cut_out_of_its_mark() -> None:
    scrub = make_scrubber(["email"])
    made = make_sample("d", "f", 1, "y" * 190 + " jane.roe@example.org " + "z" * 300, NEAR, lambda text: scrub(text)[0])
    assert made["text"] == "y" * 190 + " <EMAIL> z"


@pytest.mark.parametrize("near", [NEAR, None])
def test_what_is_forgotten_is_not_shown_by_name_text_or_resemblance(
    near: NearDuplicateConfig | None, tmp_path: Path
) -> None:
    samples = {
        "too short": [sample("a", OTHER, near), sample("b", TEXT, near)],
        "contaminated": [sample("c", EDITED, near)],
        "c4: sentences": [sample("d", OTHER, near)],
    }
    file = tmp_path / "tombstones.jsonl"
    everything = shown_samples(samples, "news", read_tombstones(file, near), near)
    shown = [(one["id"], "signature" in one) for found in everything.values() for one in found]
    assert shown == [("d", False), ("c", False), ("a", False), ("b", False)]
    forget(file, [Request("news", "a", "a text that is in no sample")], NEAR, datetime.date(2026, 11, 24))
    assert [one["id"] for one in shown_samples(samples, "news", read_tombstones(file, near), near)["too short"]] == [
        "b"
    ]
    assert len(shown_samples(samples, "wire", read_tombstones(file, near), near)["too short"]) == 2
    forget(file, [Request("wire", "z", TEXT)], NEAR, datetime.date(2026, 11, 24))
    assert list(shown_samples(samples, "news", read_tombstones(file, near), near)) == ["c4: sentences"]


def test_nothing_is_shown_where_nobody_can_tell(tmp_path: Path) -> None:
    file = tmp_path / "tombstones.jsonl"
    forget(file, [Request("news", "a", TEXT)], NearDuplicateConfig(ngram=4), datetime.date(2026, 11, 24))
    assert shown_samples({"empty": [sample("d", OTHER)]}, "news", read_tombstones(file, NEAR), NEAR) == {}
