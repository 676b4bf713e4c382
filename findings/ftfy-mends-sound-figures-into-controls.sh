#!/usr/bin/env bash
# ftfy 6.3.1: fix_encoding() turns an accented capital before a euro sign into a NUL, and other signs into letters.
#
# Expected: fix_encoding() changes text that was decoded by the wrong code, and leaves sound text alone; its guide says
#   that it avoids false positives.
# What happens: it judges a short sequence by itself. A capital A with grave and a euro sign are the bytes C0 80 of
#   Windows-1252, which some programs write for U+0000, so that a price behind a word in capitals becomes a NUL and a
#   figure; the sign of a mean or diameter before plus-minus becomes an Arabic letter.
# Why it matters: cleaning a financial corpus with it loses currency signs and puts NULs into training text. Nothing
#   counts such repairs, since each looks like one that was wanted.
# Seen on 2026-11-30: see the table that is printed; real mojibake in the same run is mended.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check ftfy==6.3.1

"$work/venv/bin/python" - <<'PYTHON'
import sys
from importlib.metadata import version

import ftfy

print("ftfy", version("ftfy"))
expected = {
    "PRIX \u00c0\u20ac10": "PRIX \x0010",
    "\u00d8\u00b15 %": "\u06315 %",
    "M\u00c3\u00bcnchen": "M\u00fcnchen",
}
seen = {text: ftfy.fix_encoding(text) for text in expected}
for text, mended in seen.items():
    print(f"  {text!a} -> {mended!a}")
if seen != expected:
    sys.exit("NOT AS FOUND: fix_encoding treats these texts otherwise now")
print("as found: sound text with a currency sign becomes a NUL byte and a figure")
PYTHON
