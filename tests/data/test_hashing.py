"""The mixer is splitmix64's, of arrays and compiled."""

import numba
import numpy as np

from data.hashing import GOLDEN, mix

# The first numbers of splitmix64 from seed 0: those of Vigna's splitmix64.c.
FIRST = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F, 0xF88BB8A8724C81EC]


def test_it_gives_the_numbers_of_splitmix64() -> None:
    steps = np.uint64(GOLDEN) * np.arange(1, 5, dtype=np.uint64)
    kept = steps.copy()
    assert mix(steps).tolist() == FIRST
    assert np.array_equal(steps, kept), "what is given stays as it is"


def test_compiled_it_is_the_same() -> None:
    compiled = numba.njit(mix)
    values = np.random.default_rng(0).integers(0, 2**64, 1_000, dtype=np.uint64)
    assert [int(compiled(value)) for value in values] == mix(values).tolist()
