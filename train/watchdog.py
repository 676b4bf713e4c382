"""A rank that hangs says where, on standard error, and ends the run.

Peers of a dead or stopped rank wait in a collective for ever, and so does a process on a dead file system. The guard is
a thread in C, which fires although the interpreter itself may be stuck; a launcher ends the other ranks when one leaves
with an exit code.
"""

import faulthandler
import signal


def show_stacks_on_request() -> None:
    """From now on SIGUSR2 writes the stack of every thread to standard error, and so does a crash such as SIGSEGV."""
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR2, all_threads=True)


def guard(seconds: float) -> None:
    """End this process with exit code 1, and every thread's stack, unless `guard` or `rest` is called in time."""
    faulthandler.dump_traceback_later(seconds, exit=True)


def rest() -> None:
    """No longer expect a sign of life."""
    faulthandler.cancel_dump_traceback_later()
