#!/usr/bin/env bash
# transformers 5.23.0 (torch 2.13.0): restarted position_ids keep packed documents apart only when no cache is made.
#
# Expected: a row of several documents with position_ids that restart at 0 is recognised as packed, and a document
#   does not attend to those before it: that is what the mask code says, and what padding-free collators rely on.
# What happens: the recognition needs two more things, neither of which is an error to miss. (1) use_cache must be
#   False; its default is True, in model.train() too, and an *empty* cache is enough to switch the recognition off.
#   (2) attention_mask must be None; a mask of ones, "no padding", switches it off as well. Otherwise the positions
#   restart but every token sees all earlier documents of its row: neither packed nor plain. No message. The same for
#   eager and sdpa, Llama, Qwen3 and GPT-NeoX. Also the first document of a row is always right, so a short test passes.
# Why it matters: a bits-per-byte or loss that is measured on packed rows depends on which documents happen to share a
#   row; a fine-tuning run on packed examples lets an answer see the answers before it. Evaluation loops seldom set
#   use_cache, while training with activation checkpointing does so by itself: train and evaluation then differ.
#   (Public report of the second half: huggingface/transformers pull request 46634.)
# Seen on 2026-11-30: largest difference of the second document's logits from the same document alone: below 1e-6 with
#   use_cache=False and no mask; 0.1 to 0.6 in the three other cases, in eval() and in train().
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    torch==2.13.0 transformers==5.23.0 numpy==2.4.6

cd "$work"
export HF_HOME="$work/hf" HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 TRANSFORMERS_VERBOSITY=error
venv/bin/python - <<'PYTHON'
import sys

import torch
import transformers
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

print(f"transformers {transformers.__version__}, torch {torch.__version__}")
shape = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
kinds = [
    ("Llama", LlamaForCausalLM, LlamaConfig(**shape, num_key_value_heads=4)),
    ("Qwen3", Qwen3ForCausalLM, Qwen3Config(**shape, num_key_value_heads=4)),
    ("GPT-NeoX", GPTNeoXForCausalLM, GPTNeoXConfig(**shape)),
]
torch.manual_seed(0)
first, second = torch.randint(3, 64, (1, 10)), torch.randint(3, 64, (1, 12))
row = torch.cat([first, second], dim=1)
positions = torch.cat([torch.arange(10), torch.arange(12)])[None]

apart, together = [], []
for name, model_class, config in kinds:
    for attention in ("eager", "sdpa"):
        model = model_class._from_config(config, attn_implementation=attention)
        for training in (False, True):
            model.train(training)
            with torch.no_grad():
                alone = model(second).logits
                for cache in ("default", False):
                    for mask in (None, torch.ones_like(row)):
                        more = {} if cache == "default" else {"use_cache": cache}
                        packed = model(row, position_ids=positions, attention_mask=mask, **more).logits[:, 10:]
                        off = (packed - alone).abs().max().item()
                        (apart if cache is False and mask is None else together).append(off)
                        said = "none" if mask is None else "ones"
                        print(
                            f"  {name:9}{attention:6}{'train' if training else 'eval':6}use_cache {cache!s:8}"
                            f"mask {said}: second document off by {off:.1e}"
                        )
print(f"use_cache=False and no mask: at most {max(apart):.1e}; all other cases: at least {min(together):.1e}")
if not (max(apart) < 1e-5 and min(together) > 1e-2):
    sys.exit("NOT AS FOUND: whether packed documents are kept apart no longer depends on use_cache and a mask of ones")
print("as found: by default a packed document attends to the documents before it, whatever its position_ids say")
PYTHON
