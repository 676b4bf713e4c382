"""Remote shards: fetched whole and checked, in bounded room, retried and then named, one copy for all processes."""

import io
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from data.errors import DataError
from data.files import new_digest
from data.shards import cache as shard_cache
from data.shards.cache import ShardCache, open_cache
from data.shards.packing import pack_shards
from data.stream.stream import TokenStream

Write = Callable[..., Path]
LENGTHS = {"news": [30, 5, 9] * 10, "web": [90] * 4}
ROOM = 10**9


@pytest.fixture
def remote(tmp_path: Path, write_training_shards: Write) -> Iterator[str]:
    """Packed shards in a storage in memory; their local original is tmp_path/original."""
    folder = write_training_shards(tmp_path / "original", LENGTHS, tokens_per_shard=100)
    pack_shards(folder, "best_fit", 16, workers=1)
    system = fsspec.filesystem("memory")
    system.put(str(folder), "/bucket/shards", recursive=True)
    yield "memory://bucket/shards"
    system.rm("/bucket", recursive=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_cache, "FIRST_PAUSE", 0.01)


def open_remote(remote: str, folder: Path, room: int = ROOM) -> TokenStream:
    cache = open_cache(remote, folder, room, "best_fit", 16)
    return TokenStream(folder, {"news": 0.5, "web": 0.5}, 16, 3, cache=cache)


def test_a_remote_stream_is_the_local_one(remote: str, tmp_path: Path) -> None:
    local = TokenStream(tmp_path / "original", {"news": 0.5, "web": 0.5}, 16, 3)
    stream = open_remote(remote, tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.bin"))
    assert stream.digest(100) == local.digest(100)
    assert np.array_equal(stream.batch(0, 100).tokens, local.batch(0, 100).tokens)
    assert stream.shortage() is None


def test_the_copies_stay_within_their_room(remote: str, tmp_path: Path) -> None:
    local = TokenStream(tmp_path / "original", {"news": 0.5, "web": 0.5}, 16, 3)
    stream = open_remote(remote, tmp_path / "cache", room=1000)
    for first in range(0, 100, 10):
        assert np.array_equal(stream.batch(first, 10).tokens, local.batch(first, 10).tokens)
        sizes = [path.stat().st_size for path in (tmp_path / "cache/train").iterdir()]
        assert sum(sizes) <= 1000
    assert "is smaller than the 0.0 GB of shards of a pass" in str(stream.shortage())


def test_those_used_longest_ago_go_first(tmp_path: Path) -> None:
    system = fsspec.filesystem("memory")
    system.pipe({f"/lru/{name}": b"12345" for name in "abc"})
    cache = ShardCache("memory://lru", tmp_path, room=10)
    cache.digests |= {name: new_digest(b"12345").hexdigest() for name in "abc"}
    for name in "abac":
        cache.fetch(name)
        time.sleep(0.01)  # file systems keep times in steps
    assert [name for name in "abc" if (tmp_path / name).exists()] == ["a", "c"]


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    fsspec.filesystem("memory").pipe("/left/a", b"12345")
    cache = ShardCache("memory://left", tmp_path, ROOM)
    cache.digests["a"] = new_digest(b"12345").hexdigest()
    left, coming = tmp_path / "b.1-1-0.partial", tmp_path / "c.2-2-0.partial"
    for partial in (left, coming):
        partial.write_bytes(b"123")
    os.utime(left, (0, 0))
    cache.fetch("a")
    assert (left.exists(), coming.exists()) == (False, True)


class Stalling(io.BytesIO):
    """A file that gives three bytes and then nothing for a long time."""

    def __init__(self, released: threading.Event) -> None:
        super().__init__(b"con")
        self.released = released

    def read(self, size: int | None = -1) -> bytes:
        return super().read(size) or bytes(self.released.wait(20) * 0)


class Flawed(MemoryFileSystem):  # type: ignore[misc]
    """A storage whose first `bad` openings fail, or give other bytes, or nothing for a long time."""

    def __init__(self, flaw: str, bad: int) -> None:
        super().__init__()
        self.flaw, self.left, self.opened = flaw, bad, 0
        self.released = threading.Event()

    def open(self, path: str, *arguments: Any, **options: Any) -> Any:
        self.opened += 1
        self.left -= 1
        if self.left < 0:
            return super().open(path, *arguments, **options)
        if self.flaw == "stalled":
            self.released.wait(20)
        if self.flaw == "stalled midway":
            return Stalling(self.released)
        if self.flaw == "damaged":
            return io.BytesIO(b"other bytes")
        raise ConnectionError("reset by peer")


@pytest.mark.parametrize("flaw", ["refused", "damaged", "stalled", "stalled midway"])
def test_a_bad_storage_is_tried_again_and_then_named(
    flaw: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shard_cache, "STALL_SECONDS", 0.1)
    fsspec.filesystem("memory").pipe("/flawed/a", b"content")
    cache = ShardCache("memory://flawed", tmp_path, ROOM)
    cache.digests["a"] = new_digest(b"content").hexdigest()
    reason = {
        "refused": "ConnectionError: reset by peer",
        "damaged": "it is damaged",
        "stalled": "no byte came for 0.1 s",
        "stalled midway": "no byte came for 0.1 s",
    }
    recovering = Flawed(flaw, bad=2)
    cache._system = recovering
    assert cache.fetch("a").read_bytes() == b"content"
    assert recovering.opened == 3
    assert f"fetching memory://flawed/a again in 0.01 s: {reason[flaw]}" in capsys.readouterr().err
    (tmp_path / "a").unlink()
    broken = Flawed(flaw, bad=99)
    cache._system = broken
    with pytest.raises(DataError, match=f"memory://flawed/a could not be fetched in 4 attempts: {reason[flaw]}"):
        cache.fetch("a")
    for system in (recovering, broken):
        system.released.set()
    assert not list(tmp_path.glob("a*"))


@pytest.mark.parametrize("name", ["train/web-00001.bin", "packed/best_fit-16/train/web-00001.rows"])
def test_a_damaged_remote_file_is_named_by_the_stream_and_read_once_it_is_mended(
    name: str, remote: str, tmp_path: Path
) -> None:
    local = TokenStream(tmp_path / "original", {"news": 0.5, "web": 0.5}, 16, 3)
    system = fsspec.filesystem("memory")
    whole = system.cat(f"/bucket/shards/{name}")
    system.pipe(f"/bucket/shards/{name}", bytes(len(whole)))
    stream = open_remote(remote, tmp_path / "cache")
    with pytest.raises(DataError, match=f"{remote}/{name} could not be fetched in 4 attempts: it is damaged"):
        stream.batch(0, 100)
    system.pipe(f"/bucket/shards/{name}", whole)
    assert np.array_equal(stream.batch(0, 100).tokens, local.batch(0, 100).tokens)


def test_what_is_prefetched_is_there(remote: str, tmp_path: Path) -> None:
    stream = open_remote(remote, tmp_path / "cache")
    stream.prefetch(np.arange(100))
    end = time.monotonic() + 20
    wanted = {path.name for path in (tmp_path / "original/train").glob("*.bin")}
    while {path.name for path in (tmp_path / "cache/train").glob("*.bin")} != wanted:
        assert time.monotonic() < end, "a wanted file was not fetched"
        time.sleep(0.01)


def test_other_shards_at_the_same_place_replace_the_copies(
    remote: str, tmp_path: Path, write_training_shards: Write
) -> None:
    old = open_remote(remote, tmp_path / "cache").batch(0, 50).tokens
    changed = write_training_shards(tmp_path / "changed", LENGTHS | {"web": [70] * 4}, tokens_per_shard=100)
    pack_shards(changed, "best_fit", 16, workers=1)
    fsspec.filesystem("memory").rm("/bucket/shards", recursive=True)
    fsspec.filesystem("memory").put(str(changed), "/bucket/shards", recursive=True)
    new = open_remote(remote, tmp_path / "cache").batch(0, 50).tokens
    assert np.array_equal(new, TokenStream(changed, {"news": 0.5, "web": 0.5}, 16, 3).batch(0, 50).tokens)
    assert not np.array_equal(new, old)


def fetch_in_process(location: str, folder: Path, results: Any) -> None:
    cache = ShardCache(location, folder, ROOM)
    results.put(cache.fetch("big").stat().st_ino)


def test_processes_share_one_copy(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source/big").write_bytes(bytes(3_000_000))
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    job = (f"file://{tmp_path}/source", tmp_path / "cache", results)
    processes = [context.Process(target=fetch_in_process, args=job) for _ in range(4)]
    for process in processes:
        process.start()
    inodes = {results.get(timeout=60) for _ in processes}
    for process in processes:
        process.join()
    assert len(inodes) == 1


def read_in_process(original: Path, folder: Path, first: int, results: Any) -> None:
    stream = open_remote(f"file://{original}", folder, room=2000)
    for start in range(first, 400, 30):
        stream.prefetch(np.arange(start + 30, start + 40))
        results.put((start, stream.batch(start, 10).tokens))


def test_processes_share_little_room(remote: str, tmp_path: Path) -> None:
    folder, original = tmp_path / "cache", tmp_path / "original"
    local = TokenStream(original, {"news": 0.5, "web": 0.5}, 16, 3)
    open_remote(f"file://{original}", folder, room=2000)
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    processes = [context.Process(target=read_in_process, args=(original, folder, 10 * n, results)) for n in range(3)]
    for process in processes:
        process.start()
    for _ in range(0, 400, 10):
        first, tokens = results.get(timeout=60)
        assert np.array_equal(tokens, local.batch(first, 10).tokens)
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    copies = [path for ending in ("bin", "rows") for path in folder.rglob(f"*.{ending}")]
    assert sum(path.stat().st_size for path in copies) <= 2000


def test_an_unknown_protocol_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.shards: nowhere://x cannot be opened: Protocol not known"):
        ShardCache("nowhere://x", tmp_path, ROOM)


def test_shards_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"memory://void/manifest.json could not be fetched .*FileNotFoundError"):
        open_cache("memory://void", tmp_path, ROOM, "best_fit", 16)


def test_an_address_without_its_secrets_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.shards: memory://\*\*\*@bucket cannot be opened: its secrets are not"):
        open_cache("memory://***@bucket", tmp_path, ROOM, "best_fit", 16)
