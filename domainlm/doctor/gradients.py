"""Whether DeepSpeed gives the gradient that plain torch gives: two steps of a small model at a run's own settings.

It has not always: from 0.17.6 to 0.18.2 ZeRO-2 accumulated micro-batches wrongly, and losses hardly showed it
(https://github.com/deepspeedai/DeepSpeed/issues/7718).
"""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from domainlm.doctor.findings import Finding
from model.config import ModelConfig
from train.config import RunConfig, TrainingConfig

STEPS, MICRO_BATCHES, MICRO_BATCH = 2, 3, 2
WIDTH, VOCABULARY, TOKENS = 64, 512, 32
BUCKET = 20_000
"""Elements that are reduced at a time: a sixth of the small model, so that there are several buckets, as in a run."""
TOLERANCE = {"fp32": 1e-4, "bf16": 5e-2}
"""How far a tensor may be away, as a share of its norm: sums in another order, of terms with 24 bits or with 8 that may
cancel each other. Seen are 1e-6 and 2e-2; a forgotten division or micro-batch is a tenth and more."""
TRIED = ("zero_optimization", "torch_autocast", "prescale_gradients", "gradient_predivide_factor")
"""DeepSpeed's settings that touch a gradient; monitors and profilers are left out."""


def small_run(config: RunConfig, ranks: int, zero_stage: int | None = None) -> RunConfig:
    """A run of a model of the same kind, small enough for seconds, at the configuration's DeepSpeed settings.

    Args:
        zero_stage: another stage than the configuration's, and nothing else of DeepSpeed's.
    """
    model, training = config.model, config.training
    shared = model.key_value_heads < model.heads
    size: dict[str, Any] = {"layers": 2, "width": WIDTH, "heads": 2, "dropout": 0.0}
    size |= {"key_value_heads": 1 if shared else 2}
    size |= {"head_width": None, "sliding_window": None, "layer_pattern": None, "rope_scaling": None}
    size |= {"feed_forward_width": 4 * WIDTH, "vocabulary_size": VOCABULARY, "sequence_length": TOKENS}
    settings = {key: part for key, part in training.deepspeed.items() if key in TRIED}
    if zero_stage is not None:
        settings = {"zero_optimization": {"stage": zero_stage}}
    zero = {**settings.get("zero_optimization", {}), "reduce_bucket_size": BUCKET, "sub_group_size": 2 * BUCKET}
    zero["stage3_param_persistence_threshold"] = 1000
    if ranks % (zero.get("zero_hpz_partition_size") or 1):
        del zero["zero_hpz_partition_size"]  # it is for more ranks than are tried here
    changes = {
        "steps": STEPS,
        "warmup_steps": 0,
        "batch_size": ranks * MICRO_BATCHES * MICRO_BATCH,
        "sequence_ranks": 1,  # the steps that are compared are of whole rows
        "micro_batch": MICRO_BATCH,
        "gradient_clipping": 0.0,
        "betas": (0.0, 0.95),  # AdamW's first moment is then the gradient that it was given,
        "muon": {"momentum": 0.0},  # and so is Muon's momentum
        "activation_checkpointing": False,
        "compile": False,
        "deepspeed": {**settings, "zero_optimization": zero},
    }
    return config.model_copy(
        update={
            "model": ModelConfig.model_validate(model.model_dump() | size),
            "tokenizer": config.tokenizer.model_copy(update={"vocabulary_size": VOCABULARY}),
            "training": TrainingConfig.model_validate(training.model_dump() | changes),
            "init_from": None,
            "lora": None,
        }
    )


def judge_gradients(compared: Sequence[dict[str, Any]], ranks: int) -> list[Finding]:
    """Findings from what `compare` saw of each small run."""
    return [_judge(facts, ranks) for facts in compared]


def _judge(facts: dict[str, Any], ranks: int) -> Finding:
    name = f"gradient, {facts['settings']}"
    if facts["apart"] <= TOLERANCE[facts["products"]]:  # false for nan
        return Finding(name, "ok", f"that of plain torch on {ranks} ranks, {facts['apart']:.0e} apart at most")
    seen = f"{facts['tensor']} is {facts['apart']:.2g} of its norm away from plain torch on {ranks} ranks"
    to_do = (
        f"do not train: DeepSpeed {version('deepspeed')} reduces wrongly here. Take the version of constraints.txt, a "
        "DeepSpeed file with `zero_optimization.stage` alone, or another stage"
    )
    return Finding(name, "fail", seen, to_do)
