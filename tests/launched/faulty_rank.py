"""A rank of `train` that a fault befalls, given by FAULT=KIND:RANK:NUMBER in the environment.

    FAULT=exception:1:5 deepspeed tests/launched/faulty_rank.py CONFIG

On that rank the NUMBER-th training pass through the model raises an exception, never returns, or gives a loss that is
not a number.
"""

import os
import sys
import time
from typing import Any

import torch

from model.transformer import Transformer
from train.__main__ import main

kind, rank, number = os.environ["FAULT"].split(":")
passes = 0


def befall(module: torch.nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor | None:
    global passes
    if not isinstance(module, Transformer) or not torch.is_grad_enabled() or os.environ["RANK"] != rank:
        return None
    passes += 1
    if passes != int(number):
        return None
    if kind == "exception":
        raise RuntimeError("the fault that the test asked for")
    if kind == "hang":
        time.sleep(600)
    return output * float("nan")


torch.nn.modules.module.register_module_forward_hook(befall)
sys.exit(main())
