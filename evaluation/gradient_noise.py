"""The critical batch size by the gradient noise scale, from what each step's micro-batches and their mean came to.

The simple noise scale B = tr Σ / |G|² of McCandlish et al. 2018 (arXiv 1812.06162, §2.2 and appendix A.1): G is the
true gradient, Σ the covariance of one row's. With a batch of B rows a run needs about twice the fewest steps that it
could, and twice the fewest rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaluation.intervals import ratio_interval

SQUARE, VARIANCE = "gradient_square", "gradient_variance"
"""Keys of a step's line of metrics.jsonl."""
NEWEST = 200
"""Steps that are averaged at most, those recorded last: of a shorter run the newer half, for its first steps have a
gradient so large that they would outweigh all others for long."""
FEWEST = 40
"""Steps from which a figure is given."""


@dataclass(frozen=True)
class CriticalBatch:
    """The simple noise scale of the newest steps, in rows of a run's sequence length."""

    rows: float | None
    """None: it is not known."""
    low: float | None
    """The lower end of the 95 % interval. Where it stands without `rows`, nothing but "at least" is known."""
    high: float | None
    """The upper end; None: none is known."""
    steps: int
    """That were averaged."""
    why: str
    """It is not known; or an empty string."""


def noise_of_step(micro_square: float, micro_batch: int, square: float, batch: int) -> dict[str, float]:
    """Unbiased estimates of |G|² and of tr Σ, of one row, from a step's gradient at two batch sizes.

    Each is of little worth alone, and |G|² may come out below zero: steps are averaged, each of the two apart, before
    one divides the other. Nothing is returned for a batch of one micro-batch, which has no second size.

    Args:
        micro_square: mean over the batch's micro-batches of their gradients' squared norms.
        micro_batch: rows of one.
        square: squared norm of the batch's gradient, which is their mean.
        batch: rows of the batch.
    """
    if batch <= micro_batch:
        return {}
    return {
        SQUARE: (batch * square - micro_batch * micro_square) / (batch - micro_batch),
        VARIANCE: (micro_square - square) / (1 / micro_batch - 1 / batch),
    }


def critical_batch(lines: Sequence[Mapping[str, Any]], seed: int = 0) -> CriticalBatch:
    """From metrics.jsonl.

    The interval is the bootstrap's, over steps, of |G|² / tr Σ, of which only the numerator may be lost in its noise.
    """
    measured = [line for line in lines if line.get(SQUARE) is not None and line.get(VARIANCE) is not None]
    if not measured:
        return _unknown(
            0, "no step that is recorded had two micro-batches of whole rows to compare, on one rank or on two"
        )
    if len(measured) < FEWEST:
        return _unknown(len(measured), f"{len(measured)} steps are measured, and it takes {FEWEST}")
    steps = measured[-min(NEWEST, len(measured) // 2) :]
    squares, variances = [line[SQUARE] for line in steps], [line[VARIANCE] for line in steps]
    if sum(variances) <= 0:
        return _unknown(len(steps), "the gradients of micro-batches do not differ")
    inverse = ratio_interval(squares, variances, seed)
    assert inverse.low is not None
    assert inverse.high is not None
    if inverse.high <= 0:
        return _unknown(len(steps), f"the gradient is lost in its noise over {len(steps)} steps")
    if inverse.low <= 0 or inverse.value <= 0:
        why = f"the gradient does not stand out from its noise over {len(steps)} steps"
        return CriticalBatch(None, 1 / inverse.high, None, len(steps), why)
    return CriticalBatch(1 / inverse.value, 1 / inverse.high, 1 / inverse.low, len(steps), "")


def _unknown(steps: int, why: str) -> CriticalBatch:
    return CriticalBatch(None, None, None, steps, why)


def describe(found: CriticalBatch, sequence_length: int) -> str:
    """In rows and in tokens, with its interval; or why it is not known."""
    known, interval = found.rows or found.low, between(found)
    tokens = f", {_two_places(known * sequence_length)} tokens" if known else ""
    why = found.why or f"gradient noise of the newest {found.steps} steps"
    return f"{in_rows(found)}{f' ({interval})' if interval else ''}{tokens}: {why}"


def in_rows(found: CriticalBatch) -> str:
    """The figure alone."""
    if found.low is None:
        return "not known"
    if found.rows is None or found.high is None:
        return f"at least {_two_places(found.low)} rows"
    return f"about {_two_places(found.rows)} rows"


def between(found: CriticalBatch) -> str:
    """Its interval; empty where there is none, or no upper end."""
    if found.low is None or found.high is None:
        return ""
    return f"{_two_places(found.low)} to {_two_places(found.high)}"


def _two_places(value: float) -> str:
    return f"{float(f'{value:.2g}'):,.0f}" if value >= 10 else f"{value:.2g}"
