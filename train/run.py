"""What the steps of a run need: its configuration, this rank, the data, the engine and the records."""

from dataclasses import dataclass

import torch

from data.stream import TokenStream
from train import engine
from train.config import RunConfig
from train.monitor import Monitor
from train.process import Rank, StopRequest


@dataclass(frozen=True)
class Run:
    """Everything that the steps of a run need."""

    config: RunConfig
    rank: Rank
    device: torch.device
    stream: TokenStream
    engine: engine.Engine
    stop: StopRequest
    monitor: Monitor | None
    """Rank 0's; the others say nothing."""
