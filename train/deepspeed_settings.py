"""DeepSpeed's own JSON: which of its settings the run decides, which work here, and which are refused by name."""

import difflib
from typing import Any

OWNED_KEYS = {
    "train_batch_size": "training.batch_size",
    "train_micro_batch_size_per_gpu": "training.micro_batch",
    "gradient_accumulation_steps": "training.batch_size and training.micro_batch",
    "gradient_clipping": "training.gradient_clipping",
    "bf16": "training.precision",
    "fp16": "training.precision",
    "data_types": "training.precision",
    "communication_data_type": "training.precision",
    "optimizer": "training.optimizer, learning_rate, betas, epsilon and weight_decay",
    "scheduler": "training.schedule",
}
"""Settings that the framework derives, and the keys that decide them."""

REMOVED_KEYS = {
    "amp": "set training.precision to bf16",
    "compression_training": "there is nothing in its place",
    "curriculum_learning": "set data.stages",
    "eigenvalue": "there is nothing in its place",
    "elasticity": "the batch is training.batch_size at any number of ranks",
    "graph_harvesting": "there is nothing in its place",
    "nebula": "there is nothing in its place",
    "progressive_layer_drop": "there is nothing in its place",
    "quantize_training": "there is nothing in its place",
    "sparse_attention": "there is nothing in its place",
    "sparse_gradients": "there is nothing in its place",
    "zero_optimization.mics_hierarchical_params_gather": "set zero_hpz_partition_size instead",
    "zero_optimization.mics_shard_size": "MiCS is gone; the nearest is zero_hpz_partition_size, as in "
    "configs/deepspeed/zero3-hpz.json",
    "zero_optimization.zeropp_loco_param": "there is nothing in its place",
}
"""Settings of older files that DeepSpeed 0.19 rejects when the ranks start, and what to do instead."""


REFUSED_KEYS = {
    "activation_checkpointing": "without effect here: set training.activation_checkpointing",
    "aio": "without effect here: offload to NVMe is not supported",
    "autotuning": "without effect here: `domainlm plan` says what fits",
    "checkpoint": "without effect here: checkpoints are the framework's own, of any ZeRO stage and number of ranks",
    "compile": "without effect here: set training.compile",
    "data_efficiency": "without effect here: set data.stages",
    "dataloader_drop_last": "without effect here: the order of the data is the framework's own",
    "datastates": "without effect here: checkpoints are the framework's own, and asynchronous",
    "expert_parallel": "without effect here: the models are dense",
    "gradient_allreduce_op": "a sum makes the gradient larger by the number of ranks",
    "hybrid_engine": "without effect here: it is for reinforcement learning",
    "managed_gradient_accumulation": "it changes what a step is: set training.batch_size and training.micro_batch",
    "pipeline": "training is data parallel here: take ZeRO-3 for a model that is larger than a device",
    "seq_parallel_communication_data_type": "without effect here: attention gets its inputs as they are",
    "sequence_parallel_size": "set training.sequence_ranks, which shares sequences out without DeepSpeed's knowledge",
    "tensor_parallel": "training is data parallel here: take ZeRO-3 for a model that is larger than a device",
    "use_data_before_expert_parallelism": "without effect here: the models are dense",
    "weight_quantization": "without effect here",
    "zero_optimization.offload_optimizer.super_offload": "it needs DeepSpeed's own Adam, training has torch's",
    "zero_optimization.zenflow": "it needs DeepSpeed's own optimizer section: offload_optimizer alone works",
}
"""Settings that DeepSpeed's parser takes, and that then crash, do nothing or change a step here; and why."""

NEUTRAL = {"gradient_allreduce_op": "mean", "managed_gradient_accumulation": True, "sequence_parallel_size": 1}
"""What a refused setting may be, where that is not simply off."""

SECTION, SWITCH, NUMBER, TEXT = "a section", "true or false", "a number", "text"
PASSED_KEYS = {
    "zero_optimization": SECTION,
    "torch_autocast": SECTION,
    "tensorboard": SECTION,
    "csv_monitor": SECTION,
    "wandb": SECTION,
    "comet": SECTION,
    "wall_clock_breakdown": SWITCH,
    "memory_breakdown": SWITCH,
    "flops_profiler": SECTION,
    "comms_logger": SECTION,
    "timers": SECTION,
    "prescale_gradients": SWITCH,
    "gradient_predivide_factor": NUMBER,
    "disable_allgather": SWITCH,
    "disable_python_gc": SWITCH,
    "dump_state": SWITCH,
    "log_level": TEXT,
    "steps_per_print": NUMBER,
    "zero_allow_untested_optimizer": SWITCH,
    "zero_force_ds_cpu_optimizer": SWITCH,
}
"""Sections and settings that are DeepSpeed's to read, and what they are: it takes anything for most of them."""

GPU_KEYS = ("zero_quantized_weights", "zero_quantized_nontrainable_weights", "zero_quantized_gradients")
"""Settings of zero_optimization whose kernels DeepSpeed has for CUDA alone."""


def own_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """The user's settings without those that the framework derives, which may only stand there as "auto".

    Raises:
        ValueError: a setting is the framework's, has no use here, is unknown, or DeepSpeed has removed it.
    """
    for key, instead in REMOVED_KEYS.items():
        if _has(settings, key):
            raise ValueError(f"DeepSpeed 0.19 has removed `{key}`: take it out of the DeepSpeed file; {instead}")
    comet = settings.get("comet")
    if isinstance(comet, dict) and comet.get("api_key"):
        raise ValueError("`comet.api_key` would be written into the run's files: take it out, set COMET_API_KEY")
    for key, decides in OWNED_KEYS.items():
        if settings.get(key, "auto") != "auto":
            raise ValueError(f"`{key}` belongs to the framework: take it out of the DeepSpeed file, set {decides}")
    for key, reason in REFUSED_KEYS.items():
        value = value_of(settings, key)
        useless = value not in (None, NEUTRAL[key]) if key in NEUTRAL else not _is_off(value)
        if useless:
            raise ValueError(f"`{key}` is of no use: take it out of the DeepSpeed file; {reason}")
    zero = settings.get("zero_optimization", {})
    stage = zero.get("stage", 0) if isinstance(zero, dict) else None
    if type(stage) is not int or stage not in range(4):
        raise ValueError("`zero_optimization` is a section with a `stage` of 0, 1, 2 or 3")
    own = {key: part for key, part in settings.items() if key not in OWNED_KEYS}
    for key in own:
        if key not in PASSED_KEYS and key not in REFUSED_KEYS:
            close = difflib.get_close_matches(key, [*PASSED_KEYS, *OWNED_KEYS], n=1)
            hint = f"; did you mean `{close[0]}`?" if close else ""
            raise ValueError(f"`{key}` is no setting of DeepSpeed 0.19 that is known here{hint}")
        wanted, is_off_by_null = PASSED_KEYS.get(key), own[key] is None and key == "steps_per_print"
        if wanted and _kind(own[key]) != wanted and not is_off_by_null:
            raise ValueError(f"`{key}` should be {wanted}, not {own[key]!r}")
    return own


def needs_gpu(settings: dict[str, Any]) -> str | None:
    """The first setting that works on GPUs alone, by its dotted name."""
    zero = settings.get("zero_optimization") or {}
    return next((f"zero_optimization.{key}" for key in GPU_KEYS if zero.get(key)), None)


def _kind(value: Any) -> str | None:
    if isinstance(value, bool):
        return SWITCH
    kinds = {dict: SECTION, int: NUMBER, float: NUMBER, str: TEXT}
    return kinds.get(type(value))


def _has(settings: Any, dotted: str) -> bool:
    section, _, rest = dotted.partition(".")
    here = isinstance(settings, dict) and section in settings
    return _has(settings[section], rest) if here and rest else here


def value_of(settings: Any, dotted: str) -> Any:
    """What a dotted key is set to; None where it is not."""
    for part in dotted.split("."):
        settings = settings.get(part) if isinstance(settings, dict) else None
    return settings


def _is_off(value: Any) -> bool:
    """Whether a setting asks for nothing: false, 0, null, a section that is not enabled, or one of nothing else."""
    if isinstance(value, dict):
        return value.get("enabled") is False or all(_is_off(part) for part in value.values())
    return not value
