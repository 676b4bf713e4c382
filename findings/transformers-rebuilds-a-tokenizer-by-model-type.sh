#!/usr/bin/env bash
# transformers 5.23.0 (tokenizers 0.23.3): AutoTokenizer replaces the rules of a tokenizer.json by those of model_type.
#
# Expected: tokenizer.json holds the whole pipeline (normalizer, pre-tokenizer, model, decoder), so a folder with it
#   gives the ids that tokenizers.Tokenizer.from_file gives; naming PreTrainedTokenizerFast makes that explicit.
# What happens: for a model type with a tokenizer class of its own, AutoTokenizer takes only vocabulary and merges from
#   the file and builds normalizer and pre-tokenizer anew from the class. With "model_type": "qwen2" that happens even
#   if tokenizer_config.json names PreTrainedTokenizerFast; with "qwen3" and "gpt_neox" when it names no class.
#   "llama", "mistral" and "bloom" keep the file. Nothing is logged; the vocabulary's size is right; decode() gives
#   readable text. What differs: for the Qwen types the split, so a figure that is one token ("2024") becomes one token
#   a digit; for these and gpt_neox an NFC normalizer that was never trained with, so that some texts (an accent as a
#   mark of its own, as PDF extraction leaves it) do not come back from decode(encode(text)).
# Why it matters: a domain model gets a tokenizer of its own and a popular architecture. It is pretrained on ids made
#   by `tokenizers`, and evaluated or fine-tuned through AutoTokenizer on ids it never saw in such order: a worse
#   number, blamed on the model. Whether it happens depends on model_type in config.json, which has nothing to do
#   with tokens, and two architectures trained on the same shards are no longer comparable.
# Seen on 2026-11-30: a sentence with figures: 14 tokens by the file, 23 for qwen2 (class named or not) and qwen3
#   (not named). A decomposed accent: other ids and another text for the same and for gpt_neox (not named).
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    transformers==5.23.0 tokenizers==0.23.3 numpy==2.4.6

cd "$work"
export HF_HOME="$work/hf" HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=warning
venv/bin/python - <<'PYTHON'
import json
import os
import sys

import tokenizers
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer

print(f"transformers {transformers.__version__}, tokenizers {tokenizers.__version__}")
trained = Tokenizer(models.BPE())
trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
trained.decoder = decoders.ByteLevel()
trained.train_from_iterator(
    ["Net sales of the year 2024 rose to 1,234,567 in the café's 2024 shops; they don't fall."] * 20,
    trainers.BpeTrainer(
        vocab_size=400,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>"],
        show_progress=False,
    ),
)
texts = {"figures": "Net sales of the year 2024 rose to 1,234,567;", "accent": "cafe\u0301"}
ids = {name: trained.encode(text).ids for name, text in texts.items()}
assert all(trained.decode(ids[name]) == text for name, text in texts.items())

changed = {}
for model_type in ("llama", "mistral", "bloom", "gpt_neox", "qwen3", "qwen2"):
    for named in (False, True):
        folder = f"{model_type}-{named}"
        os.mkdir(folder)
        trained.save(f"{folder}/tokenizer.json")
        with open(f"{folder}/config.json", "w") as file:
            json.dump({"model_type": model_type}, file)
        with open(f"{folder}/tokenizer_config.json", "w") as file:
            about = {"eos_token": "<|endoftext|>"}
            json.dump(about | ({"tokenizer_class": "PreTrainedTokenizerFast"} if named else {}), file)
        loaded = AutoTokenizer.from_pretrained(folder)
        for name, text in texts.items():
            seen = loaded(text, add_special_tokens=False)["input_ids"]
            changed[model_type, named, name] = seen != ids[name]
            print(
                f"  {model_type:9} class {'named    ' if named else 'not named'} -> {type(loaded).__name__:18} {name}:"
                f" ids {'DIFFER' if seen != ids[name] else 'equal '} ({len(seen):2} for {len(ids[name]):2}),"
                f" decoded: {'the text' if loaded.decode(seen) == text else 'ANOTHER TEXT'}"
            )

expected = dict.fromkeys(changed, False)
for case in (("qwen2", True), ("qwen2", False), ("qwen3", False)):
    expected[*case, "figures"] = expected[*case, "accent"] = True
expected["gpt_neox", False, "accent"] = True
if changed != expected:
    sys.exit("NOT AS FOUND: which model types get other ids than their tokenizer.json says has changed")
print("as found: model_type decides whether AutoTokenizer obeys the tokenizer.json beside it")
PYTHON
