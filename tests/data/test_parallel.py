import os
import signal
import time

import pytest

from data.errors import DataError
from data.parallel import available_cpus, in_parallel


def square(number: int) -> int:
    time.sleep(0.05 * (number == 0))  # the first job ends last
    return number * number


def fail(number: int) -> int:
    if number == 3:
        raise DataError("part 3 is damaged")
    return number


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def process(number: int) -> int:
    return os.getpid()


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_results_come_in_the_order_of_the_jobs(workers: int) -> None:
    assert list(in_parallel(square, range(7), workers, "squaring")) == [0, 1, 4, 9, 16, 25, 36]


def test_no_jobs_are_no_results() -> None:
    assert list(in_parallel(square, [], None, "squaring")) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_job_raises_is_raised(workers: int) -> None:
    with pytest.raises(DataError, match=r"^part 3 is damaged$"):
        list(in_parallel(fail, range(8), workers, "failing"))


def test_a_killed_worker_is_named_for_what_it_most_often_is() -> None:
    with pytest.raises(DataError, match=r"^dying: a worker process was killed.*fewer data\.workers"):
        list(in_parallel(die, range(4), 2, "dying"))


def test_one_worker_or_one_job_stays_in_this_process() -> None:
    assert set(in_parallel(process, range(3), 1, "asking")) == {os.getpid()}
    assert set(in_parallel(process, [1], 4, "asking")) == {os.getpid()}
    assert os.getpid() not in set(in_parallel(process, range(4), 2, "asking"))


def test_cpus_are_those_of_the_process() -> None:
    allowed = os.sched_getaffinity(0)
    assert available_cpus() == len(allowed)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert available_cpus() == 1
    finally:
        os.sched_setaffinity(0, allowed)
