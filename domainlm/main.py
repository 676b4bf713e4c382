"""The entry point: the words are read, then the configuration, then the command's function is called."""

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType
from typing import Any

from domainlm.arguments import parse
from train.stop import catchable_signals

Command = Callable[[argparse.Namespace, Any], dict[str, Any]]
ENDED_BY_SIGNALS = ("train", "rehearse", "doctor")
"""Commands that a signal ends in good order: with a line, and with the ranks and the folder that they have for a while.

Others do work that is not looked at while compiled code goes on; they die at once, and what is finished is kept.
SIGTERM, as Slurm and `kill` send it, they say by a thread (`_said_at_once`).
"""


def main() -> None:
    """Exit code 0: done; 1: failed; 2: refused, with one clear line for each thing that is wrong; 128 + n: signal n."""
    arguments = parse(sys.argv[1:])
    in_order = arguments.command in ENDED_BY_SIGNALS
    by_key = signal.getsignal(signal.SIGINT) == signal.default_int_handler  # not so of a job in the background
    numbers = catchable_signals() if in_order else [signal.SIGINT] if by_key else []
    previous = {number: signal.signal(number, _leave) for number in numbers}
    try:
        # serve has an event loop, which takes signals itself
        with nullcontext() if in_order or arguments.command == "serve" else _said_at_once(signal.SIGTERM):
            # Not before the words are good: it takes ten times as long as --help.
            from domainlm import commands
            from domainlm.measure import commands as measuring

            name = arguments.command.replace("-", "_")
            command = getattr(commands, name, None) or getattr(measuring, name)
            for number in numbers:
                signal.signal(number, _end if in_order else signal.default_int_handler)
            _call(command, arguments)
    except KeyboardInterrupt:
        _end(signal.SIGINT, None)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def _said_at_once(number: int) -> Iterator[None]:
    """Have a thread end this process by a signal, with a line: Python's own handlers wait for compiled code to return.

    What takes the signal itself for a while, as the launcher does for its ranks, is left to it.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def taken_later(number: int, frame: FrameType | None) -> None:
        """The thread has it: Python tells `writer` of a signal that has a handler, at once."""

    def watch() -> None:
        while came := os.read(reader, 1):
            if came[0] == number and signal.getsignal(number) is taken_later:
                _leave(number, None)
        os.close(reader)

    handler = signal.signal(number, taken_later)
    if handler == signal.SIG_IGN:
        signal.signal(number, handler)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        signal.signal(number, handler or signal.SIG_DFL)
        os.close(writer)


def _leave(number: int, frame: FrameType | None) -> None:
    """Leave without an error, which compiled code, and modules that are being loaded, do not bear in their midst."""
    _say_end(number)
    os._exit(128 + number)


def _end(number: int, frame: FrameType | None) -> None:
    """Say by what this process ends, and end it once all is put in order; the same again ends it at once."""
    for other in catchable_signals():  # of a terminal that closes, kernel and shell send one each
        signal.signal(other, signal.SIG_IGN if other == signal.SIGHUP else signal.SIG_DFL)
    _say_end(number)
    raise SystemExit(128 + number)


def _say_end(number: int) -> None:
    # Not by `print`, in which the signal may have come.
    os.write(2, f"error: ended by {signal.Signals(number).name}: the same command goes on with what is kept\n".encode())


def _call(command: Command, arguments: argparse.Namespace) -> None:
    from data.errors import DataError, refused_file
    from domainlm.configuration import load
    from train.checkpoints.folders import CheckpointError
    from train.config_file import ConfigError

    try:
        config = load(arguments)
        result = command(arguments, config)
    except (ConfigError, DataError, CheckpointError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if (refused := refused_file(error)) is None:
            raise
        print(f"error: {refused}", file=sys.stderr)
        sys.exit(2)
    if arguments.json:
        print(json.dumps(result, default=str))
    if result.get("passed") is False:
        sys.exit(1)


if __name__ == "__main__":
    main()
