#!/usr/bin/env bash
# lm-eval 0.4.13: items of a multiple-choice task whose label is -1 ("kept secret") count as wrong, without a word.
#
# Expected: an item without an answer is refused, or left out of accuracy; at least a warning, as for a label that is
#   too large.
# What happens: only labels at or above the number of choices are looked for. -1, which data sets on the hub have
#   for every item of a test split whose answers are secret, passes: no choice equals it, so each such item is scored 0.
# Why it matters: a task file whose test_split names such a split, or a data set in which a few labels are missing, gives
#   an accuracy that is too low by just their share, for every model, and looks like any other.
# Seen on 2026-11-30: a model that answers all 4 labelled items rightly has acc 1.0 on them, and 0.5 with 4 more of label
#   -1; nothing on the log at level WARNING but for what is said of every task.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    lm_eval==0.4.13 datasets==5.2.0 torch==2.13.0 numpy==2.4.6

cd "$work"
export HF_HOME="$work/hf" HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1
venv/bin/python - <<'PYTHON'
import logging
import sys
from importlib.metadata import version

import datasets
from lm_eval.api.model import LM
from lm_eval.api.task import ConfigurableTask
from lm_eval.evaluator import evaluate

said = []
logging.getLogger("lm_eval").addHandler(type("Kept", (logging.Handler,), {"emit": lambda self, record: said.append(record.getMessage())})())


class Right(LM):
    """Finds " yes" the likeliest answer to everything."""

    def loglikelihood(self, requests):
        return [(-1.0 if request.args[1] == " yes" else -2.0, False) for request in requests]

    def loglikelihood_rolling(self, requests):
        raise NotImplementedError

    def generate_until(self, requests):
        raise NotImplementedError


def accuracy(labels):
    items = [{"question": f"Question {number}?", "label": label} for number, label in enumerate(labels)]
    task = ConfigurableTask(
        config={
            "task": "secret",
            "custom_dataset": lambda **_: {"test": datasets.Dataset.from_list(items)},
            "test_split": "test",
            "output_type": "multiple_choice",
            "doc_to_text": "{{question}}",
            "doc_to_target": "label",
            "doc_to_choice": ["yes", "no"],
            "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        }
    )
    results = evaluate(Right(), {"tasks": {"secret": task}}, bootstrap_iters=0)
    return results["results"]["secret"]["acc,none"]


labelled, with_secret = accuracy([0] * 4), accuracy([0] * 4 + [-1] * 4)
warned = any("Label index" in line for line in said)
accuracy([0, 2])
too_large = any("Label index" in line for line in said)
print(f"lm_eval {version('lm_eval')}")
print(f"acc of 4 labelled items: {labelled}; with 4 of label -1: {with_secret}; warned of it: {warned}")
print(f"warned of a label that is too large: {too_large}")
sys.exit(not (labelled == 1.0 and with_secret == 0.5 and not warned and too_large))
PYTHON
