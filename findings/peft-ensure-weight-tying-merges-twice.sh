#!/usr/bin/env bash
# peft 0.21.2 (transformers 5.23.0, torch 2.13.0): with ensure_weight_tying=True a merge adds a tied head's LoRA twice.
#
# Expected: LoRA on the output head of a model with tied embeddings is delicate, and peft says so:
#   "`ensure_weight_tying` is not set to True. This can lead to complications, for example when merging". So one sets
#   it, trains, and merges; merge_and_unload() then gives the logits of the adapter model.
# What happens: with the flag, embedding and head carry the same delta D (the same two matrices). In the adapter model
#   each computes with W + D. Merging adds D into the embedding's weight and D into the head's weight, which are one
#   tensor: it becomes W + 2 D, for input and output. (Without the flag: W + D for both, where the adapter model had
#   D in the head only.) The adapter reloaded by PeftModel is right in both cases. The warning that names the flag is
#   gone; a general one about tied modules remains, the same with either setting, and says nothing of the factor.
# Why it matters: small domain models tie their embeddings, and new domain terms are learned in just these layers. The
#   adapter is evaluated, the merged folder is exported and served. A check of the merge ("the shapes load, it speaks
#   English") does not see a doubled delta; a benchmark on the merged model measures another model.
#   (Public discussion of tied layers: huggingface/peft issues 2018, 2777 and 2864.)
# Seen on 2026-11-30: merged weight = W + 2 D to 1e-5. Loss of the base 4.16, of the adapter model after 20 steps 3.0,
#   of the merged model 3.6; its logits off by 5. A LoRA on q_proj alone merges to 1e-6.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    torch==2.13.0 transformers==5.23.0 peft==0.21.2 accelerate==1.15.0 numpy==2.4.6

cd "$work"
export HF_HOME="$work/hf" HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 TRANSFORMERS_VERBOSITY=error
venv/bin/python -W ignore - <<'PYTHON'
import sys

import peft
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

transformers.utils.logging.disable_progress_bar()
print(f"peft {peft.__version__}, transformers {transformers.__version__}, torch {torch.__version__}")
torch.manual_seed(0)
config = LlamaConfig(
    vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=4, tie_word_embeddings=True,
)
LlamaForCausalLM(config).save_pretrained("base")
tokens = torch.randint(3, 64, (4, 24))


def train_and_merge(modules, tying):
    """The loss before and after training, of the merged model, and by how much the merged logits are off."""
    torch.manual_seed(1)
    base = LlamaForCausalLM.from_pretrained("base")
    weight = base.lm_head.weight.detach().clone()
    model = get_peft_model(base, LoraConfig(r=4, target_modules=modules, ensure_weight_tying=tying))
    before = model(tokens, labels=tokens).loss.item()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(20):
        model(tokens, labels=tokens).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.eval()
    with torch.no_grad():
        adapted = model(tokens, labels=tokens)
        head = model.base_model.model.lm_head
        delta = head.get_delta_weight("default").clone() if "lm_head" in modules else None
        model.save_pretrained("adapter")
        again = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained("base"), "adapter").eval()
        reloaded = (again(tokens).logits - adapted.logits).abs().max().item()
        merged_model = model.merge_and_unload()
        merged = merged_model(tokens, labels=tokens)
        times = None
        if delta is not None:
            times = ((merged_model.lm_head.weight - weight) * delta).sum().item() / (delta * delta).sum().item()
            exact = torch.allclose(merged_model.lm_head.weight, weight + round(times) * delta, atol=1e-5)
            times = round(times, 3) if exact else None
    off = (merged.logits - adapted.logits).abs().max().item()
    print(
        f"  {'+'.join(modules):8} ensure_weight_tying={tying!s:5} loss {before:.3f}, trained {adapted.loss:.3f}, merged"
        f" {merged.loss:.3f}; logits off by {off:.1e} (adapter reloaded: {reloaded:.1e}); merged weight = W + {times} D"
    )
    return off, reloaded, times


plain = train_and_merge(["q_proj"], False)
loose = train_and_merge(["lm_head"], False)
tied = train_and_merge(["lm_head"], True)
if not (plain[0] < 1e-5 and tied[1] < 1e-5 and tied[2] == 2.0 and tied[0] > 0.5 and loose[2] == 1.0):
    sys.exit("NOT AS FOUND: merging a tied head's LoRA no longer adds its delta twice")
print("as found: ensure_weight_tying=True makes merge_and_unload() add the head's delta twice to the one tied weight")
PYTHON
