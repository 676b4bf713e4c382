"""What the steps of a run need: its configuration, this rank, the data, the engine, the records and the past."""

from dataclasses import dataclass, field

import torch

from data.stream.stream import TokenStream
from train.config import RunConfig
from train.engine import engine
from train.process import Rank
from train.records.journal import Journal
from train.records.metrics import Monitor
from train.spikes.rules import Figures, Skip
from train.stop import StopRequest


@dataclass(frozen=True)
class Past:
    """What a run's files say about the steps up to its checkpoint; the same on every rank."""

    history: list[Figures]
    """Figures of the newest applied steps, to which the run's own are added; skipped ones never are."""
    skips: list[Skip]
    """Steps to pass over, before and after the checkpoint."""
    evaluated: bool
    """Whether the checkpoint's step has been evaluated, where it is one that should be."""
    examined: list[int] = field(default_factory=list)
    """Steps that were computed a second time, to which the run's own are added."""


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
