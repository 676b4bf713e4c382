"""Muon for hidden matrices (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/), AdamW for the rest.

With gradient G, momentum M, momentum's share m, rate r, decay d, of a matrix W of so many rows and columns:

    M ← m M + (1 - m) G
    W ← (1 - r d) W - r √max(1, rows / columns) orthogonalise(m M + (1 - m) G)

The factor of the shape is Jordan's: an update changes a hidden state by about r times its size whatever the width, so
that one rate serves models of all widths (the spectral condition, Yang et al. 2023, arXiv 2310.17813).

What is done to single elements is done in single roundings, in whatever pieces a rank holds them, and what is done to
matrices is done to whole ones by one rank each: a step is the same to the bit at any ZeRO stage and number of ranks.
"""

from collections.abc import Iterable, Sequence
from math import sqrt
from typing import Any

import torch
from torch import Tensor

from train.engine.eager import EagerAdamW
from train.engine.hidden_matrices import HiddenMatrix
from train.engine.layout import Place
from train.engine.orthogonal import orthogonalise
from train.engine.sharing import Round, Slice, gather, rounds, scatter, slices
from train.ranks import of_all_ranks

MOMENTUM = "momentum"
"""Of a parameter group: the share m, and that Muon moves it. Of the state of its tensors: M."""


class Muon(EagerAdamW):
    """Moves the tensors of groups that have a `momentum` by Muon, those of the others as AdamW does.

    DeepSpeed calls `step` for one group or sub-group at a time, on all ranks in the same order.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], **settings: Any) -> None:
        super().__init__(groups, **settings)
        self._step_supports_amp_scaling = False  # torch's scaler then divides the gradients itself
        self._matrices: Sequence[HiddenMatrix] = ()
        self._masters: Sequence[Tensor] = ()
        self._moved: frozenset[Tensor] = frozenset()
        self._rounds: dict[Tensor, list[Round]] = {}
        self._replicated = False
        self._device = torch.device("cpu")

    def share(
        self,
        matrices: Sequence[HiddenMatrix],
        masters: Sequence[Tensor],
        places: Iterable[Place],
        replicated: bool,
        device: torch.device,
    ) -> None:
        """Divide the work over the ranks, before the first step; all ranks call this.

        Args:
            matrices: all that are to be moved.
            masters: the tensors that this optimizer updates on this rank; as many on every rank.
            places: which elements of the parameters lie where in them.
            replicated: every rank holds all of every tensor, and one call of `step` updates all groups.
            device: where ranks exchange and multiply matrices.
        """
        everyone = of_all_ranks(slices(matrices, list(places)))
        moved = sorted({part.master for held in everyone for part in held})
        self._matrices, self._masters, self._replicated, self._device = matrices, masters, replicated, device
        self._moved = frozenset(masters[number] for number in moved)
        groups = [set(map(id, group["params"])) for group in self.param_groups if MOMENTUM in group]
        of_groups = [[number for number in moved if id(masters[number]) in group] for group in groups]
        for together in of_groups if replicated else [[number] for number in moved]:
            wanted = sorted({part.matrix for held in everyone for part in held if part.master in together})
            planned = rounds(matrices, wanted, everyone, torch.distributed.get_rank())
            self._rounds[masters[together[0]]] = planned

    def moves(self, master: Tensor) -> bool:
        """Whether a tensor that this optimizer updates consists of hidden matrices."""
        return master in self._moved

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Update every tensor that has a gradient, which is overwritten; all ranks call this."""
        groups = self.param_groups
        try:
            self.param_groups = [group for group in groups if MOMENTUM not in group]
            loss = super().step(closure)
        finally:
            self.param_groups = groups
        for group in groups:
            if MOMENTUM in group and group["params"]:
                self._move(group)
        return loss

    def _move(self, group: dict[str, Any]) -> None:
        """Update the tensors of a group of hidden matrices."""
        share, masters = group[MOMENTUM], group["params"]
        for master in masters:
            gradient = master.grad.mul_(1 - share)
            self.momentum(master).mul_(share).add_(gradient)
        for planned in self._rounds[masters[0]]:
            directions = [self._direction(part, share).to(self._device) for part in planned.outgoing]
            values = torch.cat([torch.empty(0, device=self._device), *directions])
            wholes = gather(planned, values, self._replicated)
            steps = {number: self._step_of(number, whole, group["lr"]) for number, whole in wholes.items()}
            returned = scatter(planned, steps, values, self._replicated)
            sizes = [part.elements for part in planned.outgoing]
            for part, step in zip(planned.outgoing, torch.split(returned, sizes), strict=True):
                weight = _piece(self._masters[part.master], part)
                weight.mul_(1 - group["lr"] * group["weight_decay"]).sub_(step.to(weight.device))

    def momentum(self, master: Tensor) -> Tensor:
        """M of a tensor that this optimizer moves; it begins at zero."""
        state: dict[str, Tensor] = self.state[master]
        if MOMENTUM not in state:
            state[MOMENTUM] = torch.zeros_like(master, memory_format=torch.preserve_format)
        return state[MOMENTUM]

    def _direction(self, part: Slice, share: float) -> Tensor:
        """m M + (1 - m) G of a slice."""
        master = self._masters[part.master]
        assert master.grad is not None
        return (_piece(self.momentum(master), part) * share).add_(_piece(master.grad, part))

    def _step_of(self, number: int, direction: Tensor, rate: float) -> Tensor:
        """What is subtracted from a whole matrix, flattened."""
        matrix = self._matrices[number]
        step = orthogonalise(direction.view(matrix.rows, matrix.columns))
        return step.mul_(rate * sqrt(max(1.0, matrix.rows / matrix.columns))).flatten()


def _piece(tensor: Tensor, part: Slice) -> Tensor:
    return tensor.view(-1).narrow(0, part.offset, part.elements)
