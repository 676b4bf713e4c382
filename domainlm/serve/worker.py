"""One thread that continues texts, a request after another; how many may wait is bounded, and each can be given up."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeAlias

from domainlm.generate import Continuation

Piece: TypeAlias = tuple[int, str]
"""The place of a prompt, and the next text of its continuation."""
Work: TypeAlias = Callable[[Callable[[int, str], object]], list[Continuation]]
"""Continues texts, and tells each piece to the function that it is given."""


class BusyError(Exception):
    """As many requests wait as may."""


class TooLongError(Exception):
    """A request took longer than it may, waiting included."""


class _GivenUpError(Exception):
    """Nobody waits for the rest of a continuation."""


@dataclass
class Worker:
    """Continues texts in a thread of its own.

    Attributes:
        waiting: most requests that wait behind the one that is answered.
        seconds: most time that a request may take, waiting included.
    """

    waiting: int
    seconds: float
    _requests: int = 0
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "generation"))

    async def run(self, work: Work) -> AsyncIterator[Piece | list[Continuation]]:
        """The pieces as they come, and behind them all continuations.

        Whoever stops listening, by `aclose` or by an exception, ends the work with its next token.

        Raises:
            BusyError: there is no place to wait in. TooLongError: the time is over. What `work` raises.
        """
        if self._requests > self.waiting:
            raise BusyError
        loop, coming, given_up = asyncio.get_running_loop(), asyncio.Queue[Piece | None](), threading.Event()
        end = loop.time() + self.seconds

        def tell(place: int, text: str) -> None:
            if given_up.is_set():
                raise _GivenUpError
            loop.call_soon_threadsafe(coming.put_nowait, (place, text))

        self._requests += 1
        future = loop.run_in_executor(self._thread, lambda: [] if given_up.is_set() else work(tell))
        future.add_done_callback(lambda _: self._leave(coming))
        try:
            # Not a timeout around it all: it would strike the listener, wherever that is between two pieces.
            while (piece := await asyncio.wait_for(coming.get(), end - loop.time())) is not None:
                yield piece
            yield await future
        except TimeoutError:
            raise TooLongError from None
        finally:
            given_up.set()
            future.cancel()

    def _leave(self, coming: "asyncio.Queue[Piece | None]") -> None:
        self._requests -= 1
        coming.put_nowait(None)
