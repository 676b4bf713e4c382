#!/usr/bin/env bash
# datasets 5.2.0: map() and Dataset.from_generator() answer from the cache after the code or the file they use changed.
#
# Expected: the cache is keyed by "a fingerprint of the function", so an edited cleaning function is run again, and a
#   data set made from a file is made again when the file has changed (as load_dataset does).
# What happens: functions that live in an imported module are hashed by name, not by content. After an edit of
#   clean.py the next *process* still gets the old rows from ds.map(clean.strip_footer); a lambda in the main script
#   that calls clean.strip_footer gets them too. from_generator() hashes the generator's code and arguments and never
#   the file that it reads: after the file has changed the old rows come back. Nothing is logged above INFO.
# Why it matters: the usual loop of work on a domain corpus is "fix the cleaning rule, or add documents, and run the
#   preparation again". The second run is fast, exits with 0 and writes the *old* text, which is then tokenised and
#   trained on; a measured "no difference" between two filters is the cache. The same code typed into the main script
#   is recomputed, so a small trial does not show it. (Public reports: huggingface/datasets issues 3297 and 6184.)
# Seen on 2026-11-30: three processes; old rows after the edit by map() of an imported function, by a lambda around
#   it and by from_generator(); new rows only from load_dataset() and from a function of the main script.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    datasets==5.2.0 pyarrow==26.0.1 dill==0.4.1

cd "$work"
export HF_HOME="$work/hf" HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 PYTHONDONTWRITEBYTECODE=1

cat > template.py <<'PYTHON'
import json

import datasets
from datasets import Dataset, load_dataset

import clean

datasets.disable_progress_bars()


def read_file():
    with open("corpus.jsonl") as file:
        for line in file:
            yield json.loads(line)


def strip_footer(row):
    return {"text": row["text"] + " RULE"}


corpus = load_dataset("json", data_files="corpus.jsonl", split="train")
seen = {
    "load_dataset": corpus[0]["text"],
    "from_generator": Dataset.from_generator(read_file)[0]["text"],
    "map of an imported function": corpus.map(clean.strip_footer)[0]["text"],
    "map of the main script's own": corpus.map(strip_footer)[0]["text"],
    "map of a lambda around the import": corpus.map(lambda row: clean.strip_footer(row))[0]["text"],
}
print(json.dumps(seen))
PYTHON

write_corpus() { printf '{"text": "%s"}\n' "$1" > corpus.jsonl; }
write_code() {
    printf 'def strip_footer(row):\n    return {"text": row["text"] + " %s"}\n' "$1" > clean.py
    sed "s/RULE/$1/" template.py > prepare.py
}

venv/bin/python -c 'import datasets, dill; print("datasets", datasets.__version__, "dill", dill.__version__)'
write_corpus "first text"; write_code "[rule 1]"
venv/bin/python prepare.py > run1.json
write_code "[rule 2]"                           # the cleaning rule is edited
venv/bin/python prepare.py > run2.json
write_corpus "second, longer text"              # the corpus is replaced
venv/bin/python prepare.py > run3.json

venv/bin/python - <<'PYTHON'
import json
import sys

first, edited, replaced = (json.load(open(f"run{n}.json")) for n in (1, 2, 3))
for way in first:
    print(f"{way}:\n    at first        {first[way]}")
    print(f"    rule edited     {edited[way]}\n    corpus replaced {replaced[way]}")

as_found = (
    all(first[way] == "first text [rule 1]" for way in first if way.startswith("map"))
    and edited["map of an imported function"] == "first text [rule 1]"
    and edited["map of a lambda around the import"] == "first text [rule 1]"
    and edited["map of the main script's own"] == "first text [rule 2]"
    and all(replaced[way] == "second, longer text [rule 2]" for way in first if way.startswith("map"))
    and replaced["load_dataset"] == "second, longer text"
    and replaced["from_generator"] == "first text"
)
if not as_found:
    sys.exit("NOT AS FOUND: the cache now notices the edited module or the replaced file")
print("as found: an edited imported function and a replaced file of from_generator() are answered from the old cache")
PYTHON
