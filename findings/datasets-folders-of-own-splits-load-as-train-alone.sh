#!/usr/bin/env bash
# datasets 5.2.0: of a folder with train/, past/ and future/ load_dataset gives train alone.
#
# Expected: load_dataset("folder") takes subfolders for splits, as its guide shows for train/ and test/, or says what of
#   the folder it leaves out.
# What happens: it knows some names of splits (train, test, validation and their like). Where one of them is found, files
#   in folders of other names belong to nothing: the DatasetDict has train alone, and nothing is logged. With no known name
#   at all every file becomes train. A README.md with `configs:` and `data_files:` gives all of them.
# Why it matters: a corpus that is split by date (train before a cutoff, past and future held out) opens as if it had no
#   held-out text. Where the folder of the training text has another name (before/, after/), both are read as train: a
#   model is trained on the years that it is to be measured on.
# Seen on 2026-11-30: train/ past/ future/ with 3, 2 and 1 rows: {"train": 3}; before/ and after/ with 3 and 2 rows:
#   {"train": 5}; the first with a README.md: {"train": 3, "past": 2, "future": 1}.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check datasets==5.2.0

cd "$work"
export HF_HOME="$work/hf" HF_HUB_OFFLINE=1 HF_DATASETS_DISABLE_PROGRESS_BARS=1
venv/bin/python - <<'PYTHON'
import json
import sys
from pathlib import Path

import datasets

print("datasets", datasets.__version__)
CARD = """---
configs:
- config_name: default
  data_files:
  - {split: train, path: train/*.jsonl}
  - {split: past, path: past/*.jsonl}
  - {split: future, path: future/*.jsonl}
---
"""


def rows(name, splits, card=""):
    folder = Path(name)
    for split, count in splits.items():
        (folder / split).mkdir(parents=True)
        lines = [json.dumps({"text": f"{split} {row}"}) + "\n" for row in range(count)]
        (folder / split / "part.jsonl").write_text("".join(lines))
    if card:
        (folder / "README.md").write_text(card)
    loaded = datasets.load_dataset(str(folder.absolute()))
    found = {split: len(rows) for split, rows in loaded.items()}
    print(f"  {splits} {'with a card' if card else 'without one'}: {found}")
    return found


by_date = {"train": 3, "past": 2, "future": 1}
seen = [rows("one", by_date), rows("two", {"before": 3, "after": 2}), rows("three", by_date, CARD)]
if seen != [{"train": 3}, {"train": 5}, by_date]:
    sys.exit("NOT AS FOUND: folders of other names than datasets knows are treated otherwise now")
print("as found: splits of other names are left out without a word, or all of them are train")
PYTHON
