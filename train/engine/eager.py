"""torch's AdamW without torch's compiler, which takes 4 seconds of every rank's start to load.

Two decorators of torch 2.13 load it: that of `step`, so that a compiled step keeps its form, and that of whatever
should never be compiled. Nothing here compiles an optimizer, so that what they decorate is called itself; the figures
are the same to the bit.
"""

import inspect
from typing import Any

import torch
from torch.optim.optimizer import Optimizer


class EagerAdamW(torch.optim.AdamW):
    """AdamW as torch has it, to be called and not to be compiled."""

    add_param_group = inspect.unwrap(Optimizer.add_param_group)
    zero_grad = inspect.unwrap(Optimizer.zero_grad)
    state_dict = inspect.unwrap(Optimizer.state_dict)
    load_state_dict = inspect.unwrap(Optimizer.load_state_dict)
    _step = inspect.unwrap(torch.optim.Adam.step)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step; what of it was asked to be differentiable is not."""
        return self._step(closure)
