"""Everything that is DeepSpeed: configuration, engine and step. No other module imports it."""

import gc
import logging
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any, TypeAlias

import deepspeed
import torch
import torch.distributed as dist
from deepspeed.ops import __compatible_ops__
from deepspeed.runtime import compiler
from deepspeed.runtime.bf16_optimizer import BF16_Optimizer
from deepspeed.runtime.config import DeepSpeedConfig
from deepspeed.runtime.zero.linear import zero3_linear_wrap
from deepspeed.runtime.zero.utils import ZERO_SUPPORTED_OPTIMIZERS
from deepspeed.utils import safe_get_local_grad
from torch import nn

from data.errors import one_line
from model.block import Block
from model.transformer import Transformer
from train.config import RunConfig, TrainingConfig
from train.config_file import ConfigError, taken_for_numbers
from train.engine.eager import EagerAdamW
from train.engine.hidden_matrices import hidden_matrices, is_hidden
from train.engine.initial_weights import set_initial_weights
from train.engine.layout import masters, places, torch_optimizer, trained_parameters, whole_shape
from train.engine.muon import Muon
from train.engine.optimizer import build_optimizer, set_hyperparameters
from train.rates.carry_over import carry_over
from train.schedule import accumulation

Engine: TypeAlias = deepspeed.DeepSpeedEngine


def connect(device: torch.device, timeout: timedelta = timedelta(minutes=30)) -> None:
    """Join the other ranks: NCCL between GPUs, gloo between CPUs. Needs RANK, WORLD_SIZE and MASTER_ADDR/PORT.

    A rank that waits `timeout` for another one in a collective gives up with an error.
    """
    deepspeed.utils.logger.setLevel(logging.WARNING)
    # DeepSpeed 0.19 calls collectives by names that torch 2.13 has begun to rename: nothing that a user can mend.
    warnings.filterwarnings("ignore", message=r"`torch\.distributed\.", category=FutureWarning)
    # DeepSpeed would compile this optional CPU collective with ninja, for minutes; gloo does its work.
    __compatible_ops__["deepspeed_shm_comm"] = False
    # It would load all of torch's compiler, a second of every start, to decorate its Muon, which nothing here uses.
    compiler.compile = lambda: lambda function: function
    # Else DeepSpeed would warn of them as untested: the one is torch's, and both are tested here at every stage.
    ZERO_SUPPORTED_OPTIMIZERS.extend(kind for kind in (EagerAdamW, Muon) if kind not in ZERO_SUPPORTED_OPTIMIZERS)
    if not dist.is_initialized():
        # DeepSpeed looks for garbage again and again while it starts: what is loaded by now never becomes any.
        gc.freeze()
        deepspeed.init_distributed(
            "nccl" if device.type == "cuda" else "gloo",
            auto_mpi_discovery=False,
            verbose=False,
            timeout=timeout,
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


def check_settings(training: TrainingConfig) -> None:
    """Have DeepSpeed read its settings, before ranks are connected.

    Raises:
        ConfigError: it refuses one.
    """
    try:
        whole_rows = training.model_copy(update={"sequence_ranks": 1})  # so that there may be one rank alone
        parsed = DeepSpeedConfig(deepspeed_config(whole_rows, world_size=1))
        given = training.deepspeed.get("zero_optimization", {})
        for key, value in taken_for_numbers(given, parsed.zero_config.model_dump(by_alias=True)):
            raise ValueError(f"zero_optimization.{key} should be a number (got {value})")
    except (AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:  # pydantic's is a ValueError
        said = f"DeepSpeed {deepspeed.__version__} refuses it: {one_line(error)}"
        raise ConfigError(f"training.deepspeed: {said}") from None


def build_engine(config: RunConfig, device: torch.device, world_size: int, fresh: bool = True) -> Engine:
    """The model with its initial weights inside a DeepSpeed engine.

    The initial weights depend on the seed alone: every tensor has its own generator, and under ZeRO-3, where a rank
    only holds its part of each, tensors are gathered for it one module at a time. `fresh`: no checkpoint replaces them.
    """
    settings = deepspeed_config(config.training, world_size)
    if config.training.zero_stage == 3:
        with deepspeed.zero.Init(config_dict_or_path=settings):
            model = Transformer(config.model)
        if nn.functional.linear is zero3_linear_wrap:
            nn.functional.linear = product_rounded_once  # type: ignore[assignment]
        set_initial_weights(model, config, fresh, gather=_gathered)
    else:
        with torch.device("meta"):
            model = Transformer(config.model)
        # As `to_empty`, which would load sympy to give a tensor of no device the strides of one.
        model._apply(lambda tensor: torch.empty(tensor.shape, dtype=tensor.dtype, device=device))
        set_initial_weights(model, config, fresh)
    model.set_training(config.training.activation_checkpointing, config.training.compile)
    if config.training.zero_stage == 3 and config.training.compile:
        # Gathered and released as a whole, so that no hook of DeepSpeed's runs inside the compiled halves of a block.
        deepspeed.utils.set_z3_leaf_modules(model, [Block])
    engine, *_ = deepspeed.initialize(
        model=model,
        optimizer=build_optimizer(
            model, config.training, carry_over(config.model, config.training.tuned_at, config.training.optimizer)
        ),
        config=settings,
        dist_init_required=False,
    )
    if hasattr(engine.optimizer, "check_overflow"):
        # The loop finds what is not finite before it decides on a step: a second search would cost another collective.
        engine.optimizer.check_overflow = lambda partition_gradients=True: None
    optimizer = torch_optimizer(engine)
    if isinstance(optimizer, Muon):
        shapes = {name: whole_shape(parameter) for name, parameter in trained_parameters(model).items()}
        hidden = [
            matrix
            for name, shape in shapes.items()
            if is_hidden(name, shape)
            for matrix in hidden_matrices(config.model, name, (shape[0], shape[1]))
        ]
        optimizer.share(hidden, masters(engine), places(engine), engine.zero_optimization_stage() == 0, device)
    return engine


def product_rounded_once(hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """DeepSpeed's x W + b of ZeRO-3, which lets gathered weights go between the passes, with torch's rounding.

    Of rows in more than two dimensions DeepSpeed rounds x W before it adds b, torch rounds their sum: in bf16 a quarter
    of all values would differ from those of the other stages.
    """
    rows: torch.Tensor = zero3_linear_wrap(hidden.flatten(0, -2), weight, bias)
    return rows.view(*hidden.shape[:-1], rows.shape[-1])


def _gathered(parameters: list[nn.Parameter]) -> AbstractContextManager[Any]:
    gathered: AbstractContextManager[Any] = deepspeed.zero.GatheredParameters(parameters, modifier_rank=0)
    return gathered


def set_step(engine: Engine, training: TrainingConfig, step: int, learning_rate: float) -> None:
    """Prepare the engine for step `step`: hyperparameters and batch size."""
    set_hyperparameters(engine.optimizer, training, learning_rate)
    micro_batches = accumulation(training, step, dist.get_world_size())
    if engine.gradient_accumulation_steps() != micro_batches:
        engine.set_train_batch_size(micro_batches * training.micro_batch * dist.get_world_size())


def backward(engine: Engine, loss: torch.Tensor) -> None:
    """Backward pass of one micro-batch; after a batch's last, its gradient waits for `apply_step` or `drop_step`."""
    engine.backward(loss)
    if not engine.is_gradient_accumulation_boundary():
        engine.step()


def gradient_squares(engine: Engine) -> torch.Tensor:
    """This rank's share of each parameter tensor's sum of squared gradients, after a batch's last backward pass.

    Summed over the ranks, and that over the tensors, it is the square of the global norm. Everything is in float64:
    DeepSpeed rounds each rank's sum to fp32, so that the norm, and with it every clipped step, would depend on the
    number of ranks in its last bit.

    Returns:
        float64 (tensors,), in the order of the parameters that are trained.
    """
    return _squares(engine, _has_whole_gradients(engine), lambda parameter: _local_gradient(engine, parameter))


def _has_whole_gradients(engine: Engine) -> bool:
    """Whether every rank holds all of the reduced gradient: without ZeRO, and under ZeRO-1 in bf16."""
    return engine.zero_optimization_stage() == 0 or isinstance(engine.optimizer, BF16_Optimizer)


def _local_gradient(engine: Engine, parameter: Any) -> torch.Tensor | None:
    """The part of a parameter's reduced gradient that this rank holds; None where it holds nothing of it."""
    part: torch.Tensor | None
    if engine.zero_optimization_stage() == 0:
        part = parameter.grad
    elif isinstance(engine.optimizer, BF16_Optimizer):
        part = parameter._hp_grad
    elif engine.zero_optimization_stage() == 3:
        part = safe_get_local_grad(parameter)
    else:
        mapping = parameter._hp_mapping
        part = mapping and mapping.get_lp_grad_fragment(parameter._index_in_param_group)
    return part


def weight_squares(engine: Engine) -> torch.Tensor:
    """This rank's share of each parameter tensor's sum of squared weights; shape and order as `gradient_squares`."""
    if engine.zero_optimization_stage() == 3:
        return _squares(engine, False, lambda parameter: parameter.ds_tensor)
    return _squares(engine, True, lambda parameter: parameter.detach())


def _squares(engine: Engine, whole: bool, held: Callable[[Any], torch.Tensor | None]) -> torch.Tensor:
    """Sum of squares of what this rank holds of each tensor; of what is whole on every rank, the first one's counts."""
    parameters = list(trained_parameters(engine.module).values())
    squares = torch.zeros(len(parameters), dtype=torch.float64, device=engine.device)
    if whole and dist.get_rank() > 0:
        return squares
    for number, parameter in enumerate(parameters):
        part = held(parameter)
        if part is not None:
            squares[number] = torch.linalg.vector_norm(part, dtype=torch.float64).square()
    return squares


def apply_step(engine: Engine, norm: float) -> None:
    """Clip the waiting gradient by its global norm, which the caller has summed over the ranks, and update."""
    if not _has_whole_gradients(engine):  # else DeepSpeed finds it without the other ranks
        _tell_norm(engine, norm)
    engine.step()


def drop_step(engine: Engine) -> None:
    """Leave every weight and moment as it is, and give the waiting gradient up."""
    if _has_whole_gradients(engine):
        engine.optimizer.zero_grad()
        engine.global_steps += 1
        engine.micro_steps += 1
    else:
        _tell_norm(engine, float("inf"))  # DeepSpeed then skips the step and clears what it keeps of it
        engine.step()


def _tell_norm(engine: Engine, norm: float) -> None:
    decided = torch.tensor(norm, dtype=torch.float32)
    if engine.zero_optimization_stage() == 3:
        engine.optimizer._get_norm_groups = lambda: [decided]
    else:
        engine.optimizer.scaled_global_norm = lambda: decided
