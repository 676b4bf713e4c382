"""Seconds of this rank's own work, on its device, without making the device wait."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

import torch

Item = TypeVar("Item")


class Stopwatch:
    """Adds up the times between entering and leaving it; of a GPU what passes there, not on the host."""

    def __init__(self, device: torch.device | None = None) -> None:
        self._on_gpu = device is not None and device.type == "cuda"
        self._events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []
        self._seconds, self._begin = 0.0, 0.0

    def __enter__(self) -> None:
        if self._on_gpu:
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            begin.record()
            self._events.append((begin, end))
        else:
            self._begin = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        if self._on_gpu:
            self._events[-1][1].record()
        else:
            self._seconds += time.perf_counter() - self._begin

    def timed(self, items: Iterable[Item]) -> Iterator[Item]:
        """Pass the items on and count the time that they take to come."""
        source = iter(items)
        while True:
            with self:
                item = next(source, None)
            if item is None:
                return
            yield item

    def seconds(self) -> float:
        """What has been counted; waits for the GPU to have passed the last end."""
        if self._events:
            self._events[-1][1].synchronize()
        on_gpu: float = sum(begin.elapsed_time(end) for begin, end in self._events) / 1000
        return self._seconds + on_gpu
