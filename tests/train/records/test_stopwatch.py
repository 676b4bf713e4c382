"""Seconds of own work, added up."""

import time
from collections.abc import Iterator

import torch

from train.records.stopwatch import Stopwatch


def test_only_what_is_inside_counts() -> None:
    watch, begin = Stopwatch(torch.device("cpu")), time.perf_counter()
    for _ in range(3):
        with watch:
            time.sleep(0.02)
        time.sleep(0.05)
    assert 0.06 <= watch.seconds() <= time.perf_counter() - begin - 3 * 0.05


def test_the_time_that_items_take_to_come() -> None:
    def slow() -> Iterator[int]:
        for item in range(3):
            time.sleep(0.02)
            yield item

    watch, seen, begin = Stopwatch(), [], time.perf_counter()
    for item in watch.timed(slow()):
        seen.append(item)
        time.sleep(0.05)
    assert seen == [0, 1, 2]
    assert 0.06 <= watch.seconds() <= time.perf_counter() - begin - 3 * 0.05
