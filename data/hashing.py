"""Hashes of 64 bits: their constants, and a mixer of NumPy arrays and, compiled by numba into what calls it, of one."""

from typing import Any

import numpy as np

GOLDEN = 0x9E3779B97F4A7C15  # 2^64 / golden ratio: the step of splitmix64
FNV_OFFSET, FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3  # FNV-1a, 64 bits (Fowler, Noll and Vo)


def mix(words: Any) -> Any:
    """Spread uint64 over all their bits, one to one.

    The mixer of splitmix64 (Steele, Lea & Flood 2014, "Fast Splittable Pseudorandom Number Generators").
    """
    words = words ^ (words >> np.uint64(30))
    words *= np.uint64(0xBF58476D1CE4E5B9)
    words ^= words >> np.uint64(27)
    words *= np.uint64(0x94D049BB133111EB)
    words ^= words >> np.uint64(31)
    return words
