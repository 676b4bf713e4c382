"""Everything that is DeepSpeed: configuration, engine and step. No other module imports it."""

import logging
import warnings
from contextlib import AbstractContextManager
from datetime import timedelta
from functools import partial
from typing import Any, TypeAlias

import deepspeed
import torch
import torch.distributed as dist
from deepspeed.ops import __compatible_ops__
from torch import nn

from model.transformer import Transformer
from train.config import RunConfig, TrainingConfig
from train.initial_weights import set_initial_weights
from train.optimizer import build_optimizer, set_hyperparameters
from train.schedule import accumulation

Engine: TypeAlias = deepspeed.DeepSpeedEngine

COLLECTIVE_TIMEOUT = timedelta(minutes=30)
"""A rank that waits this long for another one gives up and ends the run."""


def connect(device: torch.device) -> None:
    """Join the other ranks: NCCL between GPUs, gloo between CPUs. Needs RANK, WORLD_SIZE and MASTER_ADDR/PORT."""
    deepspeed.utils.logger.setLevel(logging.WARNING)
    # DeepSpeed 0.19 calls collectives by names that torch 2.13 has begun to rename: nothing that a user can mend.
    warnings.filterwarnings("ignore", message=r"`torch\.distributed\.", category=FutureWarning)
    # DeepSpeed would compile this optional CPU collective with ninja, for minutes; gloo does its work.
    __compatible_ops__["deepspeed_shm_comm"] = False
    if not dist.is_initialized():
        deepspeed.init_distributed(
            "nccl" if device.type == "cuda" else "gloo",
            auto_mpi_discovery=False,
            verbose=False,
            timeout=COLLECTIVE_TIMEOUT,
        )


def disconnect() -> None:
    """Leave the process group in good order, so that no rank sees its peer's socket break."""
    dist.barrier()
    dist.destroy_process_group()


def deepspeed_config(training: TrainingConfig, world_size: int, step: int = 1) -> dict[str, Any]:
    """DeepSpeed's configuration: the user's JSON, plus what the framework owns, for the batch size of step `step`."""
    micro_batches = accumulation(training, step, world_size)
    owned: dict[str, Any] = {
        "train_batch_size": training.micro_batch * micro_batches * world_size,
        "train_micro_batch_size_per_gpu": training.micro_batch,
        "gradient_accumulation_steps": micro_batches,
        "gradient_clipping": training.gradient_clipping,
        # Unasked, DeepSpeed applies a bf16 step whose gradient is not finite.
        "bf16": {"enabled": training.precision == "bf16", "check_grad_overflow": True},
        # torch's fused AdamW is as fast as DeepSpeed's own on both devices and compiles nothing.
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": None,
    }
    if training.precision == "bf16":
        # With both in fp32, ZeRO 1 to 3 agree to the bit across world sizes; without, they drift apart.
        owned |= {"data_types": {"grad_accum_dtype": "fp32"}, "communication_data_type": "fp32"}
    return {**training.deepspeed, **owned}


def build_engine(config: RunConfig, device: torch.device, world_size: int) -> Engine:
    """The model with its initial weights inside a DeepSpeed engine.

    The initial weights depend on the seed alone: every tensor has its own generator, and under ZeRO-3, where a rank
    only holds its part of each, tensors are gathered for it one module at a time.
    """
    settings = deepspeed_config(config.training, world_size)
    if config.training.zero_stage == 3:
        with deepspeed.zero.Init(config_dict_or_path=settings):
            model = Transformer(config.model)
        set_initial_weights(model, config, gather=_gathered)
    else:
        with torch.device("meta"):
            model = Transformer(config.model)
        model.to_empty(device=device)
        set_initial_weights(model, config)
    model.activation_checkpointing = config.training.activation_checkpointing
    engine, *_ = deepspeed.initialize(
        model=model,
        optimizer=build_optimizer(model, config.training),
        config=settings,
        dist_init_required=False,
    )
    if hasattr(engine.optimizer, "scaled_global_norm") and not engine.optimizer.cpu_offload:
        engine.optimizer.scaled_global_norm = partial(_global_norm, engine.optimizer)
    return engine


def _global_norm(optimizer: Any) -> torch.Tensor:
    """Global norm of the gradients that ZeRO 1 and 2 hold in parts, their squares summed in float64.

    DeepSpeed's own rounds each rank's sum to fp32 first: the norm, and with it every clipped step, would depend on the
    number of ranks in its last bit. Infinite when any part is not finite, which makes DeepSpeed skip the step.
    """
    parts = [part for group in optimizer.averaged_gradients.values() for part in group]
    squares = torch.stack([torch.linalg.vector_norm(part, dtype=torch.float64) for part in parts]).square().sum()
    dist.all_reduce(squares, group=optimizer.dp_process_group)
    return torch.nan_to_num(squares.sqrt(), nan=float("inf"), posinf=float("inf")).float()


def _gathered(parameters: list[nn.Parameter]) -> AbstractContextManager[Any]:
    gathered: AbstractContextManager[Any] = deepspeed.zero.GatheredParameters(parameters, modifier_rank=0)
    return gathered


def set_step(engine: Engine, training: TrainingConfig, step: int, learning_rate: float) -> int:
    """Prepare the engine for step `step`: hyperparameters and batch size; returns the micro-batches of a rank."""
    set_hyperparameters(engine.optimizer, training, learning_rate)
    micro_batches = accumulation(training, step, dist.get_world_size())
    if engine.gradient_accumulation_steps() != micro_batches:
        engine.set_train_batch_size(micro_batches * training.micro_batch * dist.get_world_size())
    return micro_batches


def backward_and_step(engine: Engine, loss: torch.Tensor) -> float:
    """Backward pass of one micro-batch, and the optimizer step when it is the batch's last.

    Returns:
        The global norm of the gradient before clipping at the step, 0.0 before it. When it is not finite, the step was
        not applied: ZeRO 1 to 3 refuse it themselves, at stage 0 it is done here.
    """
    engine.backward(loss)
    if not engine.is_gradient_accumulation_boundary():
        engine.step()
        return 0.0
    if engine.zero_optimization_stage() > 0:
        engine.step()
        return float(engine.get_global_grad_norm() or 0.0)
    gradients = [parameter.grad for parameter in engine.module.parameters() if parameter.grad is not None]
    norm = float(torch.nn.utils.get_total_norm(gradients))
    if norm == norm and norm != float("inf"):
        engine.step()
    else:
        # Without gradients the optimizer leaves every weight and moment as it is; the step still counts.
        engine.module.zero_grad(set_to_none=True)
        engine.global_steps += 1
        engine.micro_steps += 1
    return norm
