"""Progress of long work on stderr, without long silences: a bar in a terminal, lines in a log; nobody need read it."""

import io
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from data.addresses import without_secrets

SECONDS_BETWEEN_LINES = 10.0
SECONDS_BETWEEN_BARS = 1.0

Item = TypeVar("Item")


class _Unread(io.FileIO):
    """A file descriptor that takes everything: what cannot be written is lost."""

    def write(self, content: Any) -> int:
        with suppress(OSError):
            return super().write(content)
        return len(content)


def go_on_unread() -> None:
    """From now on this process outlives the readers of its output: a closed terminal, a pipe's end, a full disk."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed before this process began
            nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
            setattr(sys, name, nowhere)
        elif stream is getattr(sys, f"__{name}__"):  # nobody has put another one in its place
            raw = _Unread(stream.fileno(), "w", closefd=False)
            buffer = io.BufferedWriter(raw)
            setattr(sys, name, io.TextIOWrapper(buffer, stream.encoding, stream.errors, line_buffering=True))


def say(message: str) -> None:
    """Print one line to stderr without the secrets of addresses, at once and without breaking a bar."""
    tqdm.write(without_secrets(message), file=sys.stderr)
    sys.stderr.flush()


def duration(seconds: float) -> str:
    """A length of time in its two largest units: 45 s, 6 min 22 s, 3 h 05 min, 2 d 04 h."""
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, days = minutes // 60, minutes // 1440
    if days >= 2:
        return f"{days} d {hours % 24:02d} h"
    if hours:
        return f"{hours} h {minutes % 60:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def progress(
    iterable: Iterable[Item], description: str, total: int | None = None, unit: str = "documents"
) -> Iterator[Item]:
    """Pass the items on and show how many are done, of how many, and how many a second, also while one takes long.

    Args:
        total: number of items, where the iterable has no length.
        unit: what the items are, in the plural.
    """
    if total is None and isinstance(iterable, Sized):
        total = len(iterable)
    if sys.stderr.isatty():
        bar = tqdm(iterable, description, total, unit=f" {unit}", file=sys.stderr)
        with _every(SECONDS_BETWEEN_BARS, lambda: bar.refresh()):
            yield from bar
        return
    begin, done = time.monotonic(), 0

    def tell() -> None:
        of_total = f"/{total:,} ({done / total:.0%})" if total else ""
        say(f"{description}: {done:,}{of_total} {unit}, {done / (time.monotonic() - begin):,.1f} a second")

    with _every(SECONDS_BETWEEN_LINES, tell):
        for item in iterable:
            yield item
            done += 1


@contextmanager
def working(describe: Callable[[], str]) -> Iterator[None]:
    """While work goes on that has no items to count, say every ten seconds how far it is and how long it has taken.

    It is said from a thread: compiled code that the work calls must not keep the interpreter's lock.
    """
    begin = time.monotonic()
    with _every(SECONDS_BETWEEN_LINES, lambda: say(f"{describe()}, {duration(time.monotonic() - begin)} so far")):
        yield


@contextmanager
def _every(seconds: float, act: Callable[[], object]) -> Iterator[None]:
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(seconds):
            act()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
