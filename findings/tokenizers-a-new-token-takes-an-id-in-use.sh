#!/usr/bin/env bash
# tokenizers 0.23.3: a token that is added to a vocabulary with gaps can get the id of another piece.
#
# Expected: add_special_tokens() gives a new token an id of its own, or raises an error.
# What happens: the id of a new token is the size of the vocabulary, not one past its highest id. The two are the same
#   while ids are dense. In a vocabulary with a gap (ids that were removed, or reserved and never given) a new token gets
#   an id that another piece has. The call returns 1 as ever, nothing is logged; the piece's text is still encoded
#   to that id, and decode() then gives the new token for it.
# Why it matters: a domain model adds its markers (<|ticker|>, <|patient|>) to a vocabulary that was pruned to its
#   field. From then on a common piece and a marker are one row of the embedding; text that holds the piece is read as
#   the marker, and what the model writes with the piece comes out with the marker in its place. No figure of loss shows it.
# Seen on 2026-11-30: five pieces with the ids 0, 1, 2, 4, 5; "<|new|>" gets 5, which "e" has; decode([5]) is "<|new|>".
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check tokenizers==0.23.3

export HF_HUB_OFFLINE=1
"$work/venv/bin/python" - <<'PYTHON'
import sys

import tokenizers
from tokenizers import Tokenizer, models

print("tokenizers", tokenizers.__version__)


def with_marker(vocabulary):
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    added = tokenizer.add_special_tokens(["<|new|>"])
    new, old = tokenizer.token_to_id("<|new|>"), vocabulary["e"]
    print(
        f"  ids {sorted(vocabulary.values())}: added {added}, <|new|> has {new}, e has {old},"
        f" encode('e') {tokenizer.encode('e').ids}, decode([{old}]) {tokenizer.decode([old], skip_special_tokens=False)!r}"
    )
    return new, old, tokenizer.decode([old], skip_special_tokens=False)


dense = with_marker({"a": 0, "b": 1, "c": 2, "d": 3, "e": 4})
gap = with_marker({"a": 0, "b": 1, "c": 2, "d": 4, "e": 5})
if dense != (5, 4, "e") or gap != (5, 5, "<|new|>"):
    sys.exit("NOT AS FOUND: a new token no longer takes the id of a piece that is there")
print("as found: in a vocabulary with a gap a new token takes the id of a piece that is there")
PYTHON
