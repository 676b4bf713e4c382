"""Progress of long work on stderr: a bar in a terminal, plain lines in a log, and never a long silence."""

import math
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TypeVar

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 10.0
SECONDS_BETWEEN_BARS = 1.0

Item = TypeVar("Item")


def say(message: str) -> None:
    """Print one line to stderr, at once and without breaking a bar."""
    tqdm.write(message, file=sys.stderr)
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
