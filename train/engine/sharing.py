"""Which rank works on which whole matrix, and how the slices of it get there and back.

Matrices are dealt to the ranks by falling cost, in rounds of which each takes a bounded amount of memory: in a round
every rank sends its slices to the matrices' owners (one all-to-all), and gets back what became of them (another one).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from train.engine.hidden_matrices import HiddenMatrix
from train.engine.layout import Place

ROUND_ELEMENTS = 1 << 24
"""Elements of matrices that a rank takes in a round, if one matrix has not more."""


class Slice(NamedTuple):
    """Elements `start` to `stop` of a flattened matrix, and where the rank that holds them has them."""

    matrix: int
    start: int
    stop: int
    master: int
    offset: int

    @property
    def elements(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Round:
    """What a rank does in a round."""

    own: tuple[int, ...]
    """Numbers of the matrices that it works on."""
    outgoing: tuple[Slice, ...]
    """What it holds of the round's matrices, in the order of their owners."""
    incoming: tuple[Slice, ...]
    """What makes up its own matrices, in the order of the ranks that hold it."""
    sent: tuple[int, ...]
    """Elements that go to each rank."""
    received: tuple[int, ...]
    """Elements that come from each rank."""


def slices(matrices: Sequence[HiddenMatrix], places: Sequence[Place]) -> list[Slice]:
    """What a rank that holds `places` has of the matrices, in their order."""
    by_name = {place.name: place for place in places}
    found = []
    for number, matrix in enumerate(matrices):
        if place := by_name.get(matrix.name):
            first = max(matrix.start, place.start)
            stop = min(matrix.start + matrix.elements, place.stop)
            if first < stop:
                offset = place.offset + first - place.start
                found.append(Slice(number, first - matrix.start, stop - matrix.start, place.master, offset))
    return found


def rounds(
    matrices: Sequence[HiddenMatrix], numbers: Sequence[int], held: Sequence[Sequence[Slice]], rank: int
) -> list[Round]:
    """What `rank` does to get these numbers of the matrices done, given what every rank holds of all."""
    ranks = len(held)
    order = sorted(numbers, key=lambda number: (-cost(matrices[number]), number))
    owner = {number: place % ranks for place, number in enumerate(order)}
    largest = max(matrices[number].elements for number in numbers)
    at_once = ranks * max(1, ROUND_ELEMENTS // largest)
    found = []
    for first in range(0, len(order), at_once):
        chosen = set(order[first : first + at_once])
        own = tuple(sorted(number for number in chosen if owner[number] == rank))
        outgoing = sorted((s for s in held[rank] if s.matrix in chosen), key=lambda s: (owner[s.matrix], s))
        incoming = [sorted(s for s in of_rank if s.matrix in own) for of_rank in held]
        sent = [sum(s.elements for s in outgoing if owner[s.matrix] == target) for target in range(ranks)]
        received = [sum(s.elements for s in of_rank) for of_rank in incoming]
        arriving = tuple(s for of_rank in incoming for s in of_rank)
        found.append(Round(own, tuple(outgoing), arriving, tuple(sent), tuple(received)))
    return found


def cost(matrix: HiddenMatrix) -> int:
    """Multiplications of its orthogonalisation, up to a factor."""
    short, long = sorted((matrix.rows, matrix.columns))
    return short * short * long


def gather(of_round: Round, values: Tensor, replicated: bool) -> dict[int, Tensor]:
    """A rank's own matrices, flattened, by number; all ranks call this.

    Args:
        values: of `of_round.outgoing`, behind one another.
        replicated: every rank holds all of every matrix: nothing needs to be sent.
    """
    incoming, received = of_round.incoming, values
    if replicated:
        incoming = of_round.outgoing
    else:
        received = values.new_empty(sum(of_round.received))
        dist.all_to_all_single(received, values, list(of_round.received), list(of_round.sent))
    pieces: dict[int, list[tuple[int, Tensor]]] = {number: [] for number in of_round.own}
    for held, piece in zip(incoming, torch.split(received, [s.elements for s in incoming]), strict=True):
        if held.matrix in pieces:
            pieces[held.matrix].append((held.start, piece))
    return {number: torch.cat([piece for _, piece in sorted(of, key=lambda p: p[0])]) for number, of in pieces.items()}


def scatter(of_round: Round, wholes: dict[int, Tensor], values: Tensor, replicated: bool) -> Tensor:
    """What the owners give back for `values`, in the same order; all ranks call this."""
    if replicated:
        returned = torch.zeros_like(values)
        sizes = [held.elements for held in of_round.outgoing]
        for held, piece in zip(of_round.outgoing, torch.split(returned, sizes), strict=True):
            if held.matrix in wholes:
                piece.copy_(wholes[held.matrix])
        dist.all_reduce(returned)  # of one rank's value and zeros: exact
        return returned
    back = [wholes[held.matrix][held.start : held.stop] for held in of_round.incoming]
    returned = torch.empty_like(values)
    dist.all_to_all_single(
        returned, torch.cat([values.new_empty(0), *back]), list(of_round.sent), list(of_round.received)
    )
    return returned
