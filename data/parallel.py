"""Independent jobs on several processes: results in the order of the jobs, progress, and the first error at once."""

import multiprocessing
import os
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from data.errors import DataError
from data.progress import progress

Job = TypeVar("Job")
Result = TypeVar("Result")


def available_cpus() -> int:
    """CPUs that this process may use: those of its Slurm job or container, not of the machine."""
    return len(os.sched_getaffinity(0))


def in_parallel(
    function: Callable[[Job], Result], jobs: Sequence[Job], workers: int | None, description: str, unit: str = "parts"
) -> Generator[Result, None, None]:
    """Call `function` with every job and yield the results in order; one worker, or one job, stays in this process.

    Whoever may stop in between closes it (`contextlib.closing`), or jobs that have not begun are still done.

    Args:
        function: a function of a module, as the workers import it.
        workers: processes; None for one for each CPU.

    Raises:
        DataError: a worker was killed, most often for want of memory. What a job raises is raised here.
    """
    count = min(workers or available_cpus(), len(jobs))
    if count <= 1:
        yield from progress(map(function, jobs), description, len(jobs), unit)
        return
    # A forked child would inherit locks that the threads of Arrow and tokenizers hold; a server that has only imported
    # what the jobs need forks workers without any, at once.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([function.__module__])
    pool = ProcessPoolExecutor(count, context)
    try:
        futures: list[Future[Result]] = [pool.submit(function, job) for job in jobs]
        yield from progress((future.result() for future in futures), description, len(jobs), unit)
    except BrokenProcessPool:
        raise DataError(
            f"{description}: a worker process was killed, most often because memory ran out: run the same command "
            "again with fewer data.workers; finished parts are kept"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)
