#!/usr/bin/env bash
# deepspeed 0.19.8: a misspelt section of its configuration trains without ZeRO, a misspelt key within it is an error.
#
# Expected: names that the configuration does not have are all refused, or all warned about.
# What happens: DeepSpeedConfig reads the sections that it knows and never asks what else there is. "zero_optimisation"
#   (British spelling) with stage 3 gives stage 0, in silence. Likewise "bp16" for "bf16" gives fp32. Within a section
#   the keys are checked: "zero_optimization" with "stages" raises.
# Why it matters: a run that was planned with ZeRO-3 keeps all states on each GPU. Where that still fits nobody notices,
#   and memory, speed and scaling are then measured for another method; where bf16 is lost, the numbers
#   that are compared are of another precision.
# Seen on 2026-11-30: stage 0 and bf16 off for the misspelt names; ValidationError for the key within the section.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check torch==2.13.0 numpy==2.4.6 setuptools
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check deepspeed==0.19.8

cd "$work"
export DS_ACCELERATOR=cpu
venv/bin/python - 2>/dev/null <<'PYTHON'
import logging
import sys

import deepspeed
from deepspeed.runtime.config import DeepSpeedConfig

logging.disable(logging.CRITICAL)
print("deepspeed", deepspeed.__version__)


def read(**settings):
    try:
        config = DeepSpeedConfig({"train_batch_size": 1, **settings})
        seen = f"stage {config.zero_optimization_stage}, bf16 {config.bfloat16_config.enabled}"
    except Exception as error:
        seen = type(error).__name__
    print(f"  {settings}: {seen}")
    return seen


seen = [
    read(zero_optimization={"stage": 3}, bf16={"enabled": True}),
    read(zero_optimisation={"stage": 3}, bf16={"enabled": True}),
    read(zero_optimization={"stage": 3}, bp16={"enabled": True}),
    read(zero_optimization={"stages": 3}, bf16={"enabled": True}),
]
if seen != ["stage 3, bf16 True", "stage 0, bf16 True", "stage 3, bf16 False", "ValidationError"]:
    sys.exit("NOT AS FOUND: names that DeepSpeed does not know are treated otherwise now")
print("as found: a misspelt section is passed over in silence")
PYTHON
