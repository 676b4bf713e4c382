"""A share of trials and how sure it is."""

import math
from typing import Any

Z = 1.959964
"""Of a 95 % interval: the normal distribution's quantile of 0.975."""


def rate(found: int, of: int) -> dict[str, Any]:
    """{"found", "of", "rate", "low", "high"}: the ends are Wilson's 95 % interval (1927); all None of no trials.

    Unlike found / of ± 1.96 standard errors it does not claim certainty where nothing, or everything, was found.
    """
    if not of:
        return {"found": 0, "of": 0, "rate": None, "low": None, "high": None}
    share, weight = found / of, Z**2 / of
    middle = (share + weight / 2) / (1 + weight)
    half = Z * math.sqrt(share * (1 - share) / of + weight / (4 * of)) / (1 + weight)
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return {"found": found, "of": of, "rate": share, "low": low if found else 0.0, "high": high if found < of else 1.0}
