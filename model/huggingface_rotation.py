"""Rotary positions in config.json: how transformers writes their base and scaling, and reads them.

It has two spellings: `rope_theta` beside `rope_scaling`, and since its version 5 `rope_parameters` with both, which of
classes with layers of two kinds hold a set for each kind.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from model.config import LayerKind, LinearScaling, Llama3Scaling, ModelConfig, RopeScaling, YarnScaling
from model.huggingface import OLMO3, SMOLLM3

_THETA: dict[str, float] = {SMOLLM3: 2_000_000.0, OLMO3: 500_000.0}
"""Default bases of wavelengths that are not 10,000."""


def rotation_of(config: ModelConfig, name: str) -> dict[str, Any]:
    """Bases and scaling for config.json.

    Twice: transformers up to 4 and other programs read `rope_theta` and `rope_scaling`, 5 reads `rope_parameters`.
    """
    base, scaling = {"rope_theta": config.rope_theta}, config.rope_scaling
    plain: dict[str, Any] = {"rope_type": "default"}
    scaled = plain if scaling is None else _their_scaling(scaling)
    parameters = scaled | base
    if name == OLMO3:
        parameters = {"full_attention": scaled | base, "sliding_attention": plain | base}
    return base | ({} if scaling is None else {"rope_scaling": scaled}) | {"rope_parameters": parameters}


def _their_scaling(scaling: RopeScaling) -> dict[str, Any]:
    theirs: dict[str, Any] = {"rope_type": scaling.kind, "factor": scaling.factor}
    if not isinstance(scaling, LinearScaling):
        theirs["original_max_position_embeddings"] = scaling.original_length
    if isinstance(scaling, Llama3Scaling):
        theirs |= {"low_freq_factor": scaling.low_frequency_factor, "high_freq_factor": scaling.high_frequency_factor}
    if isinstance(scaling, YarnScaling):
        theirs |= {"attention_factor": scaling.attention_factor, "truncate": scaling.truncate}
        theirs |= {"beta_fast": scaling.beta_fast, "beta_slow": scaling.beta_slow}
    return theirs


def read_rotation(theirs: Mapping[str, Any], name: str, kinds: Sequence[LayerKind]) -> dict[str, Any]:
    """`rope_theta` and `rope_scaling` of ModelConfig from the contents of a config.json whose layers are of `kinds`.

    Raises:
        ValueError: rotations that `Transformer` does not compute.
        KeyError: something is not said.
    """
    theta = _THETA.get(name, 10_000.0)
    said = theirs.get("rope_scaling") or theirs.get("rope_parameters") or {}
    if name != OLMO3:
        scaling = _scaling(said, theirs)
        if scaling is not None and "sliding" in kinds:
            raise ValueError("its rotations are scaled in layers that slide, and this model scales full ones only")
        bases = {one["rope_theta"] for one in (said, theirs) if one.get("rope_theta") is not None}
        if len(bases) > 1:
            raise ValueError(
                f"its rope_theta is {theirs['rope_theta']}, and {said['rope_theta']} in its rope_parameters:"
                " transformers up to 4 reads the first, 5 the second; make them equal"
            )
        return {"rope_theta": bases.pop() if bases else theta, "rope_scaling": scaling}
    by_kind = theirs.get("rope_parameters") or {}
    if other := by_kind.keys() - {"full_attention", "sliding_attention"}:
        raise ValueError(f"its rope_parameters have {', '.join(sorted(other))} beside those of its kinds of layers")
    full = {**by_kind.get("full_attention", {}), **(theirs.get("rope_scaling") or {})}
    slides = by_kind.get("sliding_attention", {})
    base = {"full": full.get("rope_theta", theirs.get("rope_theta", theta)), "sliding": slides.get("rope_theta", theta)}
    if len({base[kind] for kind in kinds}) > 1 or ("sliding" in kinds and _scaling(slides, theirs) is not None):
        raise ValueError(
            f"its full and its sliding layers rotate by rope_theta {base['full']} and {base['sliding']} (transformers 5"
            " reads the second in rope_parameters alone), or the latter scaled; this model by one, and these unscaled"
        )
    scaling = _scaling(full, theirs) if "full" in kinds else None
    if scaling is not None and not scaling.get("truncate", True):
        raise ValueError("its truncate is False, which transformers 5 does not read in this class")
    return {"rope_theta": base[kinds[0]], "rope_scaling": scaling}


def _scaling(rope: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any] | None:
    """`rope_scaling` of ModelConfig, complete, from what theirs says of rotations."""
    kind = rope.get("rope_type", rope.get("type", "default"))
    said = {key: value for key, value in rope.items() if key not in ("rope_type", "type", "rope_theta")}
    if said.pop("partial_rotary_factor", None) not in (None, 1, 1.0):
        raise ValueError("its partial_rotary_factor is below 1, and this model rotates whole heads only")
    if kind == "default":
        if used := {key for key, value in said.items() if value is not None} - {"original_max_position_embeddings"}:
            raise ValueError(f"its rotations are of rope_type default, and have {', '.join(sorted(used))}")
        return None
    if kind not in ("linear", "llama3", "yarn"):
        raise ValueError(f"its rope_type is {kind}, and this model computes with linear, llama3 and yarn only")
    factor = said.pop("factor")
    length = said.pop("original_max_position_embeddings", None) or theirs["max_position_embeddings"]
    scaling: RopeScaling
    if kind == "linear":
        scaling = LinearScaling(kind="linear", factor=factor)
    elif kind == "llama3":
        low, high = said.pop("low_freq_factor"), said.pop("high_freq_factor")
        scaling = Llama3Scaling(
            kind="llama3", factor=factor, original_length=length, low_frequency_factor=low, high_frequency_factor=high
        )
    else:
        scaling = _yarn(said, factor, length, theirs["max_position_embeddings"])
    if unknown := [key for key, value in said.items() if value is not None]:
        raise ValueError(f"its rotations of rope_type {kind} have {', '.join(unknown)}, which this model does not know")
    return scaling.model_dump()


def _yarn(said: dict[str, Any], factor: float | None, length: int, longest: int) -> YarnScaling:
    """Takes what it reads out of `said`."""
    truncate = said.pop("truncate", None)
    settings = {
        "factor": longest / length if factor is None else factor,
        "original_length": length,
        "attention_factor": said.pop("attention_factor", None),
        "beta_fast": said.pop("beta_fast", None) or 32,
        "beta_slow": said.pop("beta_slow", None) or 1,
        "truncate": truncate is None or truncate,
    }
    of_numerator, of_denominator = said.pop("mscale", None), said.pop("mscale_all_dim", None)
    if settings["attention_factor"] is None and of_numerator and of_denominator:
        grown = 0.1 * math.log(max(1.0, settings["factor"]))
        settings["attention_factor"] = (of_numerator * grown + 1) / (of_denominator * grown + 1)
    return YarnScaling(kind="yarn", **settings)
