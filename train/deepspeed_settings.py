"""DeepSpeed's own JSON: which of its settings the run decides, and which ones DeepSpeed no longer takes."""

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
    "optimizer": "training.learning_rate, betas, epsilon and weight_decay",
    "scheduler": "training.schedule",
}
"""Settings that the framework derives, and the keys that decide them."""

REMOVED_KEYS = {
    "amp": "set training.precision to bf16",
    "compression_training": "there is nothing in its place",
    "curriculum_learning": "set data.stages, or DeepSpeed's data_efficiency.data_sampling.curriculum_learning",
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


def without_owned_keys(settings: dict[str, Any]) -> dict[str, Any]:
    """The user's settings without those that the framework derives, which may only stand there as "auto".

    Raises:
        ValueError: a setting is the framework's, or DeepSpeed has removed it.
    """
    for key, instead in REMOVED_KEYS.items():
        section, _, name = key.rpartition(".")
        place = settings.get(section) if section else settings
        if isinstance(place, dict) and name in place:
            raise ValueError(f"DeepSpeed 0.19 has removed `{key}`: take it out of the DeepSpeed file; {instead}")
    comet = settings.get("comet")
    if isinstance(comet, dict) and comet.get("api_key"):
        raise ValueError("`comet.api_key` would be written into the run's files: take it out, set COMET_API_KEY")
    for key, decides in OWNED_KEYS.items():
        if settings.get(key, "auto") != "auto":
            raise ValueError(f"`{key}` belongs to the framework: take it out of the DeepSpeed file, set {decides}")
    return {key: part for key, part in settings.items() if key not in OWNED_KEYS}
