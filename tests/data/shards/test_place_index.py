"""The index on disk: made once, kept where shards stay, made anew where they change, refused where it has no room."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from data.errors import DataError
from data.shards import place_index
from data.shards.format import EncodedDocument, Manifest, write_manifest, write_source
from data.shards.place_index import ENTRY, GRAM, SPACING, most_bytes, open_index
from data.tokenizer.build import load_tokenizer


@pytest.fixture
def shards(tmp_path: Path, data_folder: Path) -> Path:
    """A copy of the small run's data that may be changed."""
    for name in ("shards", "tokenizer"):
        shutil.copytree(data_folder / name, tmp_path / name)
    return tmp_path / "shards"


def open_at(shards: Path, workers: int = 2) -> place_index.PlaceIndex:
    folder = shards.parent
    return open_index(shards, folder / "index", folder / "tokenizer", lambda name: f"{shards}/{name}", workers)


def test_it_is_made_once_and_files_of_shards_that_stay_are_kept(
    shards: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = open_at(shards)
    said = capsys.readouterr().err
    assert f"GB of training text, into {index.folder}" in said
    size = sum(file.stat().st_size for file in index.folder.glob("*.places"))
    assert 0 < size <= most_bytes([file.shard for file in index.files])
    times = {file.name: (index.folder / file.name).stat().st_mtime_ns for file in index.files}
    assert {path.name for path in index.folder.iterdir()} == {*times, "manifest.json"}
    open_at(shards)
    assert "is up to date" in capsys.readouterr().err
    tokenizer = load_tokenizer(shards.parent / "tokenizer")
    text = "A line that no other document has, for it is new."
    ids = np.array(tokenizer.encode(text).ids)
    manifest = place_index.read_manifest(shards)
    changed = {
        "news": write_source(shards, "train", "news", [EncodedDocument("new", None, ids, len(text))], "uint16", 99)
    }
    write_manifest(shards, Manifest(**{**vars(manifest), "splits": {"train": {**manifest.splits["train"], **changed}}}))
    remade = open_at(shards)
    assert "inputs changed (shards)" in capsys.readouterr().err
    kept = {file.name for file in remade.files if file.source == "general"}
    assert {path.name: path.stat().st_mtime_ns for path in remade.folder.glob("*.places") if path.name in kept} == {
        name: times[name] for name in kept
    }
    assert len(list(remade.folder.glob("*.places"))) == len(remade.files), "what belongs to no shard is gone"


def test_what_was_finished_before_it_was_interrupted_is_kept(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, written = place_index._write, []

    def interrupted(index: place_index.PlaceIndex, file: place_index.IndexedFile) -> None:
        if written:
            raise KeyboardInterrupt
        whole(index, file)
        written.append(file.name)

    monkeypatch.setattr(place_index, "_write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        open_at(shards, workers=1)
    folder = shards.parent / "index"
    assert not (folder / "manifest.json").exists()
    before = (folder / written[0]).stat().st_mtime_ns
    monkeypatch.setattr(place_index, "_write", whole)
    open_at(shards)
    assert (folder / written[0]).stat().st_mtime_ns == before


def test_a_full_disk_is_said_before_anything_is_written(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place_index.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 99, 1))
    with pytest.raises(DataError, match=r"index: its index may take 0\.00 GB, 0\.00 are free: make room"):
        open_at(shards)
    assert not list((shards.parent / "index").glob("*.places"))


def test_a_tokenizer_whose_pieces_are_not_the_text_is_refused(shards: Path) -> None:
    manifest = place_index.read_manifest(shards)
    long = [EncodedDocument("a", None, np.full(50, 7), 5000)]
    splits = {"train": {"news": write_source(shards, "train", "news", long, "uint16", 99)}}
    write_manifest(shards, Manifest(**{**vars(manifest), "splits": splits}))
    with pytest.raises(DataError, match=r"news-00000.bin: its pieces have \d+ bytes, its documents 5,000: the tok"):
        open_at(shards)
    assert not (shards.parent / "index" / "manifest.json").exists()


def test_places_of_a_document_are_as_near_as_is_promised(shards: Path) -> None:
    """The first is at the beginning of a document, and no other begins over SPACING bytes behind the one before it."""
    index = open_at(shards)
    sizes = np.diff(index.pieces.offsets)
    for file in index.files:
        tokens, entries = index.tokens(file), index.entries(file)
        assert np.array_equal(entries, np.sort(entries))
        places = np.sort(entries & np.uint64(0xFFFFFFFF)).astype(np.int64)
        begins = np.cumsum(sizes[tokens]) - sizes[tokens]
        ends = np.flatnonzero(tokens == index.pieces.end_of_text)
        for first, end in zip(np.append(0, ends[:-1] + 1), ends, strict=True):
            own = places[(places >= first) & (places < end)]
            assert own[0] == first
            assert np.diff(begins[own]).max(initial=0) <= SPACING
            assert begins[end] - begins[own[-1]] < SPACING + GRAM + sizes.max()
    assert ENTRY.itemsize * len(entries) == (index.folder / file.name).stat().st_size
