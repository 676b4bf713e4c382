"""What the steps of a run need: its configuration, this rank, the data, the engine, the records and the past."""

from dataclasses import dataclass

import torch

from data.stream.stream import TokenStream
from model.kernels import RowPart
from train.config import RunConfig
from train.earlier_steps import Past
from train.engine import engine
from train.process import Rank
from train.ranks import any_rank
from train.records.journal import Journal
from train.records.metrics import Monitor
from train.stop import StopRequest


@dataclass(frozen=True)
class Run:
    """Everything that the steps of a run need."""

    config: RunConfig
    rank: Rank
    device: torch.device
    stream: TokenStream
    engine: engine.Engine
    stop: StopRequest
    past: Past
    monitor: Monitor | None
    """Rank 0's; the others say nothing."""
    journal: Journal | None
    """Rank 0's."""
    part: RowPart | None = None
    """The slice of each row that is this rank's; None: whole rows are."""

    def asked_to_stop(self) -> bool:
        """Whether any rank is asked to stop; all ranks call this and get the same answer."""
        return any_rank(bool(self.stop.reason), self.device)
