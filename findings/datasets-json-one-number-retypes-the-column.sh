#!/usr/bin/env bash
# datasets 5.2.0 (pyarrow 26.0.1, pandas 3.1.1): one bare number in a JSON Lines column re-types every string of it.
#
# Expected: load_dataset("json", data_files=...) gives every JSON string back as that string. A column in which
#   some rows hold a string and some a number might fail to load, or the numbers might become strings.
# What happens: with strings only, the column is a string column and arrives whole. As soon as one row of the column
#   holds a number (an object or a list does the same), the column becomes the feature Json(decode=True), and the
#   *strings* are parsed as JSON when they are read: "0000320193" arrives as 320193, "12.50" as 12.5, "null" as None,
#   "true" as True, a document that happens to be JSON as a dict, a quoted sentence without its quotes. Strings that
#   are no JSON stay strings. Nothing is logged. Which of two equal rows changes depends on a third row.
# Why it matters: a central index key, an article or case number in an `id` column no longer joins with its metadata;
#   documents that are JSON (API references, XBRL facts, logs) reach the tokenizer as dicts or as str(dict) with
#   single quotes; an answer "null" or "007" of an evaluation set becomes another answer and is scored as wrong.
# Seen on 2026-11-30: 7 of 8 strings changed after one row with a bare number was added; 0 of 8 before. The same
#   in streaming mode.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    datasets==5.2.0 pyarrow==26.0.1 pandas==3.1.1 numpy==2.4.6

cd "$work"
export HF_HOME="$work/hf" HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1
venv/bin/python - <<'PYTHON'
import json
import sys

import datasets
import pandas
import pyarrow
from datasets import load_dataset

datasets.disable_progress_bars()
print(f"datasets {datasets.__version__}, pyarrow {pyarrow.__version__}, pandas {pandas.__version__}")

strings = ["0000320193", "12.50", "null", "true", '{"rate": 5.0}', "He said: sell.", '"Hold."', "1e3"]


def load(values, name, streaming=False):
    with open(name, "w") as file:
        for value in values:
            file.write(json.dumps({"text": value}) + "\n")
    loaded = load_dataset("json", data_files=name, split="train", streaming=streaming)
    return loaded.features, [row["text"] for row in loaded]


features, before = load(strings, "strings.jsonl")
print("strings alone:  ", features)
features, after = load([*strings, 7], "one_number.jsonl")
print("with one number:", features)
_, streamed = load([*strings, 7], "one_number_streamed.jsonl", streaming=True)

changed = 0
for written, plain, mixed in zip(strings, before, after):
    changed += mixed != written
    print(f"  written {written!r:20} alone {plain!r:20} beside a number {mixed!r}")
print(f"changed: {sum(a != b for a, b in zip(strings, before))} of 8 alone, {changed} of 8 beside one number")

as_found = (
    before == strings
    and after[:8] == [320193, 12.5, None, True, {"rate": 5.0}, "He said: sell.", "Hold.", 1000.0]
    and streamed == after
)
if not as_found:
    sys.exit("NOT AS FOUND: strings beside a number are no longer read as JSON")
print("as found: one bare number in the column turns the strings of all its other rows into what they spell as JSON")
PYTHON
