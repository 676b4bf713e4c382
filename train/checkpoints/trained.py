"""The trained model of a run: its newest checkpoint as a plain torch module, for evaluation, samples and export."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from evaluation.bits_per_byte import TokenLosses
from model.lora.lora import merge
from model.pretrained import load_pretrained
from model.transformer import Transformer
from train.checkpoints.compatibility import check_architecture
from train.checkpoints.folders import Checkpoint, DeletedError, find_checkpoint, still_there
from train.checkpoints.fragments import WEIGHT, Fragment, Reader
from train.checkpoints.identity import check_base
from train.config import RunConfig
from train.engine.initial_weights import trained_rows


@dataclass(frozen=True)
class Trained:
    """Weights of a checkpoint in a model that is ready for inference."""

    model: Transformer
    checkpoint: Checkpoint
    device: torch.device

    @property
    def step(self) -> int:
        return self.checkpoint.step


def token_losses(
    model: Callable[..., torch.Tensor], device: torch.device, reduction: Literal["none", "hits"] = "none"
) -> TokenLosses:
    """The form in which evaluation asks a model: int64 inputs and targets (batch, time) → losses in nats, alike.

    With `hits`, 1 in the place of a loss where the target is the likeliest token, else 0.
    """

    @torch.no_grad()
    def losses(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        tokens, wanted = (torch.from_numpy(part).to(device) for part in (inputs, targets))
        result: np.ndarray = model(tokens, wanted, reduction=reduction).float().cpu().numpy()
        return result

    return losses


def load_trained(config: RunConfig, step: int | None = None) -> Trained:
    """Read a whole checkpoint of the run, of any world size and ZeRO stage, in fp32: the newest, or that of a step.

    That of an adapter is merged into its base.

    Every byte is compared with what was written: a newest one that is damaged is said and passed over. Where training
    deletes it meanwhile, the one that is the newest then is taken.

    Raises:
        CheckpointError: there is none, that of the step is damaged or deleted, or it is of another model.
    """
    found = find_checkpoint(config, step, contents=True)
    check_architecture(found, config)
    check_base(found, config)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with torch.device("meta"):
        model = Transformer(config.model)
    model.to_empty(device=device)
    try:
        if config.lora is None:
            load_weights(model, found.folder)
        else:
            load_pretrained(model, Path(str(config.init_from)))
            merge(model, read_trained(found.folder), config.lora, trained_rows(config))
    except DeletedError:
        if step is not None:
            raise
        return load_trained(config)
    return Trained(model.eval(), found, device)


@torch.no_grad()
def load_weights(model: Transformer, folder: Path) -> None:
    """Set a model's parameters, in place and one at a time, to the fp32 weights of a checkpoint.

    Raises:
        CheckpointError: a parameter is missing or has another shape, or a file cannot be read.
        DeletedError: because the folder was deleted meanwhile.
    """
    with still_there(folder):
        reader = Reader(folder)
        for name, parameter in model.named_parameters():
            whole = Fragment(name, tuple(parameter.shape), 0, parameter.numel())
            parameter.copy_(torch.from_numpy(reader.read(WEIGHT, whole)).view_as(parameter))


def read_trained(folder: Path) -> dict[str, torch.Tensor]:
    """What a checkpoint has the weights of, by name, in fp32: of an adapter's run the adapter.

    Raises:
        CheckpointError: a file cannot be read.
        DeletedError: because the folder was deleted meanwhile.
    """
    with still_there(folder):
        reader = Reader(folder)
        wholes = [Fragment(name, shape, 0, math.prod(shape)) for name, shape in reader.shapes.items()]
        return {w.name: torch.from_numpy(reader.read(WEIGHT, w)).view(w.shape) for w in wholes}
