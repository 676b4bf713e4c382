import datetime
import json
from pathlib import Path

import numpy as np
import pytest

from data.config import NearDuplicateConfig
from data.corpus.deduplicate import Fate, Staged, as_digests, decide, decide_by_name, document_key
from data.corpus.near_duplicates import signatures
from data.corpus.tombstones import Request, forget, read_tombstones
from data.errors import DataError
from data.files import new_digest

NEAR = NearDuplicateConfig()
TODAY = datetime.date(2026, 11, 24)
TEXT = " ".join(f"word{number}" for number in range(100))
EDITED = TEXT.replace("word50", "another")
OTHER = " ".join(f"other{number}" for number in range(100))


def corpus(*documents: tuple[str, str]) -> Staged:
    """Documents (id, text) of the source `news`."""
    matrix = signatures([text for _, text in documents], NEAR)
    return Staged(
        texts=as_digests(b"".join(new_digest(text.encode()).digest() for _, text in documents)),
        keys=as_digests(b"".join(document_key("news", name) for name, _ in documents)),
        splits=np.zeros(len(documents), np.uint8),
        signatures=lambda: [matrix],
    )


def test_a_document_is_found_again_by_name_text_and_resemblance(tmp_path: Path) -> None:
    file = tmp_path / "run" / "tombstones.jsonl"
    assert forget(file, [Request("news", "17", TEXT)], NEAR, TODAY) == 1
    documents = corpus(("17", "quite another text under the old name"), ("a", TEXT), ("b", EDITED), ("c", OTHER))
    stones = read_tombstones(file, NEAR)
    fates = decide(documents, decide_by_name(documents, stones), stones, NEAR).fates
    assert fates.tolist() == [Fate.FORGOTTEN, Fate.FORGOTTEN, Fate.FORGOTTEN, Fate.KEPT]


def test_the_file_has_all_but_the_text(tmp_path: Path) -> None:
    file = tmp_path / "tombstones.jsonl"
    forget(file, [Request("news", "Straße 17", TEXT), Request("news", "b", OTHER)], NEAR, TODAY)
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert lines[0] == {
        "source": "news",
        "id": "Straße 17",
        "text": new_digest(TEXT.encode()).hexdigest(),
        "ngram": 5,
        "algorithm": 202,
        "signature": signatures([TEXT], NEAR)[0].tobytes().hex(),
        "requested": "2026-11-24",
    }
    assert len(lines) == 2
    assert "word" not in file.read_text("utf-8")


def test_what_is_there_stays_and_comes_once(tmp_path: Path) -> None:
    file = tmp_path / "tombstones.jsonl"
    assert forget(file, [Request("news", "a", TEXT)] * 2, NEAR, TODAY) == 1
    before = file.read_bytes()
    later = TODAY + datetime.timedelta(days=1)
    assert forget(file, [Request("news", "a", TEXT)], NEAR, later) == 0
    assert file.read_bytes() == before
    assert forget(file, [], NEAR, later) == 0
    assert forget(file, [Request("news", "a", EDITED), Request("wire", "a", TEXT)], NEAR, later) == 2
    assert file.read_bytes().startswith(before)
    assert len(read_tombstones(file, NEAR).texts) == 3


def test_no_file_forgets_nothing(tmp_path: Path) -> None:
    for near in (NEAR, None):
        nothing = read_tombstones(tmp_path / "tombstones.jsonl", near)
        assert nothing.texts.shape == nothing.keys.shape == (0, 2)
        assert nothing.signatures.shape == (0, 112)


def test_without_near_duplicates_it_is_said_that_none_are_looked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tombstones.jsonl"
    forget(file, [Request("news", "a", TEXT)], NEAR, TODAY)
    found = read_tombstones(file, None)
    assert len(found.texts) == len(found.signatures) == 1  # the latter for the samples of the report
    assert "data.near_duplicates is null" in capsys.readouterr().err
    documents = corpus(("b", TEXT), ("c", EDITED))
    named = decide_by_name(documents, found)
    assert decide(documents, named, found, None).fates.tolist() == [Fate.FORGOTTEN, Fate.KEPT]


@pytest.mark.parametrize("near", [NearDuplicateConfig(ngram=4), NearDuplicateConfig(bands=20)])
def test_other_settings_find_the_text_but_not_its_near_duplicates_and_say_so(
    near: NearDuplicateConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tombstones.jsonl"
    forget(file, [Request("news", "a", TEXT), Request("news", "b", OTHER)], NEAR, TODAY)
    found = read_tombstones(file, near)
    assert (len(found.texts), len(found.keys), len(found.signatures)) == (2, 2, 0)
    assert "2 of 2" in capsys.readouterr().err
    assert len(read_tombstones(file, NEAR).signatures) == 2
    assert not capsys.readouterr().err
    file.write_text(file.read_text("utf-8").replace('"algorithm":202', '"algorithm":101', 1), "utf-8")
    assert len(read_tombstones(file, NEAR).signatures) == 1
    assert "1 of 2" in capsys.readouterr().err


@pytest.mark.parametrize("algorithm", [2, 102])
def test_signatures_of_earlier_versions_still_find_what_they_can(
    algorithm: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tombstones.jsonl"
    forget(file, [Request("news", "a", TEXT), Request("news", "b", OTHER)], NEAR, TODAY)
    assert read_tombstones(file, NEAR).complete
    file.write_text(file.read_text("utf-8").replace('"algorithm":202', f'"algorithm":{algorithm}', 1), "utf-8")
    found = read_tombstones(file, NEAR)
    assert "1 of 2 in" in (said := capsys.readouterr().err)
    assert "signed by an earlier version" in said
    assert not found.complete  # so that no samples are shown
    documents = corpus(("c", EDITED))
    assert decide(documents, decide_by_name(documents, found), found, NEAR).fates.tolist() == [Fate.FORGOTTEN]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-30], r"tombstones.jsonl:2: .*mend"),
        (lambda content: content[:-1], r"tombstones.jsonl:2: the line has no end"),
        (lambda content: content + b"\n", r"tombstones.jsonl:3: not a tombstone"),
        (lambda content: content.replace(b'"ngram":5,', b"", 1), r"tombstones.jsonl:1: not a tombstone \(ngram "),
        (lambda content: content.replace(b'"source":"news"', b'"source":"\xff"', 1), r"tombstones.jsonl:1: "),
    ],
)
def test_a_damaged_file_is_refused_and_left_alone(damage, message: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "tombstones.jsonl"
    forget(file, [Request("news", "a", TEXT), Request("news", "b", OTHER)], NEAR, TODAY)
    damaged = damage(file.read_bytes())
    file.write_bytes(damaged)
    with pytest.raises(DataError, match=message):
        read_tombstones(file, NEAR)
    with pytest.raises(DataError, match=message):
        forget(file, [Request("news", "c", EDITED)], NEAR, TODAY)
    assert file.read_bytes() == damaged
