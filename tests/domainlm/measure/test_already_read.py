"""What another run may know of held-out documents: by ids and dates, as long as its own shards are there."""

import datetime
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from data.shards.documents import read_documents
from data.shards.format import read_manifest
from domainlm.measure.already_read import UNKNOWN_TEXT, HeldOutId, already_read
from model.huggingface_folder import RECORD
from tests.domainlm.test_trace import save
from train.config import RunConfig, to_yaml
from train.config_file import load_config
from train.records.text_read import text_of


def documents(config: RunConfig, split: str) -> list[HeldOutId]:
    """The documents of one split of the first source, as if another run held them out."""
    source = read_manifest(config.shards).source(split, "news")
    rows = [row for file in source.files for row in read_documents(config.shards / file.documents_path).to_pylist()]
    return [HeldOutId("future", row["id"], row["last_date"], "news") for row in rows]


@pytest.fixture
def other(write_small_config: Callable[..., Path], data_folder: Path, tmp_path: Path) -> RunConfig:
    """A run of the shared data with a checkpoint, in a folder whose name YAML would cut."""
    folder = tmp_path / "its #1: run"
    config = load_config(write_small_config(tmp_path / "o.yaml", folder, data={"folder": str(data_folder)}))
    save(config, 4)
    (folder / "config.yaml").write_text(to_yaml(config))
    return config


def test_what_a_run_has_read_is_counted_and_what_it_holds_out_is_not(other: RunConfig) -> None:
    path = str(other.run_folder)
    assert already_read(path, documents(other, "future"), other).remarks == ()
    read, new = documents(other, "train")[:3], documents(other, "future")[:2]
    found = already_read(path, [*read, *new], other)
    assert found.documents == {"future": 3}
    assert found.remarks[0].startswith("3 of the 5 documents are among those that small was trained on, by their ids")
    assert already_read(f"{path}/checkpoints/step_000004", read, other).documents == {"future": 3}


def test_documents_that_a_run_does_not_know_are_said_where_it_may_have_read_them(other: RunConfig) -> None:
    (known,) = documents(other, "train")[:1]
    old = [HeldOutId("past", known.id, datetime.date(1999, 1, 1), "news"), HeldOutId("past", "strange", None, "news")]
    found = already_read(str(other.run_folder), old, other)
    assert not found.documents, "an id of another date is of another document"
    assert "2 of the 2 documents are not in the data of small under the same ids" in found.remarks[0]
    later = HeldOutId("future", "strange", datetime.date(2030, 1, 1), "news")
    assert already_read(str(other.run_folder), [later], other).remarks == ()


def test_of_other_models_and_of_runs_without_their_shards_nothing_is_known(other: RunConfig, tmp_path: Path) -> None:
    assert already_read(str(tmp_path), [], other).remarks == (UNKNOWN_TEXT,)
    read = documents(other, "train")
    save(other, 8, shards_digest="another")
    (remark,) = already_read(str(other.run_folder), read, other).remarks
    assert "whether small was trained on these documents is not known: " in remark
    assert "are not the shards that" in remark
    moved = other.model_copy(update={"data": other.data.model_copy(update={"folder": str(tmp_path / "nowhere")})})
    (other.run_folder / "config.yaml").write_text(to_yaml(moved))
    (remark,) = already_read(str(other.run_folder), read, other).remarks
    assert "whether small was trained on these documents is not known: " in remark


def test_an_export_says_what_its_run_has_read(other: RunConfig, tmp_path: Path) -> None:
    """Its record has the files and the cutoff: a run of a later cutoff has read what is held out before that."""
    old, ours = documents(other, "future"), text_of(other)
    later = max(each.last_date for each in old if each.last_date)
    known = {each for each in old if each.last_date and each.last_date < later}
    export = tmp_path / "export"
    export.mkdir()

    def found(**changes: object) -> tuple[dict[str, int], tuple[str, ...]]:
        (export / RECORD).write_text(json.dumps({"read": [ours | {"shards": "others"} | changes]}))
        read = already_read(str(export), old, other)
        return dict(read.documents), read.remarks

    assert found(shards=ours["shards"]) == ({}, ())
    assert found() == ({}, ())
    counted, (remark,) = found(cutoff=later.isoformat())
    assert counted == {"future": len(known)}
    assert remark.startswith(f"{len(known)} of the {len(old)} documents are in files that export was trained on")
    counted, (remark,) = found(sources={"books": "of other files"}, cleaning="another")
    assert not counted
    assert "export has read other text (shards others): whether these documents were in it is not known" in remark


def test_what_a_run_read_before_it_began_is_what_it_has_read(other: RunConfig) -> None:
    """A fine-tuning holds its examples alone in its own shards, and has all that its base was trained on behind it."""
    ours = text_of(other)
    held_out = documents(other, "future")
    save(other, 8, read=[ours, ours | {"shards": "of the base", "cutoff": None}])  # type: ignore[arg-type]
    found = already_read(str(other.run_folder), held_out, other)
    assert found.documents == {"future": len(held_out)}
    assert (
        f"{len(held_out)} of the {len(held_out)} documents are in files that small was trained on" in found.remarks[0]
    )
