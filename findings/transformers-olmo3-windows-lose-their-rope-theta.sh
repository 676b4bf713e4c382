#!/usr/bin/env bash
# transformers 5.23.0 beside 4.57.1: an OLMo 3 saved by version 4 is loaded with another base of its windows' rotations.
#
# Expected: config.json of version 4 says "rope_theta": 10000, and version 5, which moved it into rope_parameters, reads
#   it there for the layers of both kinds, as it does for Llama or Qwen.
# What happens: Olmo3Config takes rope_theta out of the file for the layers of full attention, and when it asks for it
#   again for those with sliding windows it is gone: they get the default of the class, 500000. Nothing is logged, the
#   weights fit, and saving writes the wrong number into rope_parameters for good. The published OLMo 3 have 500000 and
#   are not touched; a model of this class that was trained with another base is, in three layers of four.
# Why it matters: whoever trained or extended an OLMo 3 of his own with version 4 continues or evaluates it with 5, gets
#   fluent but worse text and a worse figure, and looks for the fault in data or training.
# Seen on 2026-11-30: rope_theta 10000 in the file; version 4: 10000; version 5: 10000 for full, 500000 for sliding
#   layers; of the same file with "model_type": "llama" version 5 reads 10000.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for version in 4.57.1 5.23.0; do
    python3 -m venv "$work/$version"
    "$work/$version/bin/pip" install --quiet --no-compile --disable-pip-version-check transformers=="$version" numpy==2.4.6
done

cd "$work"
export HF_HOME="$work/hf" HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=warning
4.57.1/bin/python - <<'PYTHON'
import json

import transformers
from transformers import AutoConfig, Olmo3Config

print(f"transformers {transformers.__version__}")
Olmo3Config(num_hidden_layers=4, rope_theta=10000.0).save_pretrained("saved")
said = json.load(open("saved/config.json"))
print(f"  config.json says rope_theta {said['rope_theta']}, rope_parameters {said.get('rope_parameters')}")
print(f"  read again: {AutoConfig.from_pretrained('saved').rope_theta} for layers of {set(said['layer_types'])}")
PYTHON
5.23.0/bin/python - <<'PYTHON'
import json
import sys

import transformers
from transformers import AutoConfig

print(f"transformers {transformers.__version__}")
config = AutoConfig.from_pretrained("saved")
bases = {kind: config.rope_parameters[kind]["rope_theta"] for kind in set(config.layer_types)}
print(f"  the same file: {bases}")
said = json.load(open("saved/config.json"))
said = {key: value for key, value in said.items() if key not in ("layer_types", "architectures")}
json.dump(said | {"model_type": "llama"}, open("saved/config.json", "w"))
other = AutoConfig.from_pretrained("saved").rope_parameters["rope_theta"]
print(f"  as a Llama: {other}")
if bases != {"full_attention": 10000.0, "sliding_attention": 500000.0} or other != 10000.0:
    sys.exit("NOT AS FOUND: which base the layers of an OLMo 3 of version 4 get has changed")
print("as found: its windows are rotated by the default of the class, not by what the file says")
PYTHON
