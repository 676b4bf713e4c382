#!/usr/bin/env bash
# Resiliparse 2.0.1: extract_plain_text(main_content=True) drops lists that have no links, without a word.
#
# Expected: the main text of a page without what stands around it ("Attempt to extract only the main content").
# What happens: a <ul> of plain items in the middle of the main text is gone, in <article> as in a <div>; its heading and
#   the paragraphs before and behind it stay. With main_content=False the items are there.
# Why it matters: recipes lose their ingredients, recommendations of a report and the highlights of a press release are
#   missing while their heading is there: text that reads whole and is not, in every page of such a site.
# Seen on 2026-11-30: of three items none is in the main content, of a <div> or an <article>, and all are in the whole.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check resiliparse==2.0.1 fastwarc==2.0.1

"$work/venv/bin/python" - <<'PYTHON'
import sys
from importlib.metadata import version

from resiliparse.extract.html2text import extract_plain_text

print("resiliparse", version("resiliparse"))
text = """<h1>Barley soup</h1><p>This soup is eaten on the islands at the end of the season, and it takes an hour.</p>
<h2>Ingredients</h2><ul><li>150 g pearl barley</li><li>2 leeks and 3 carrots</li><li>1.2 litres of stock</li></ul>
<h2>Method</h2><p>Rinse the barley until the water stays clear, and cook it in the stock for thirty minutes.</p>"""
items = ("pearl barley", "leeks and 3 carrots", "litres of stock")


def kept(page, main):
    found = extract_plain_text(page, main_content=main)
    assert "eaten on the islands" in found and "Ingredients" in found and "Rinse the barley" in found
    return sum(item in found for item in items)


pages = {
    "div": f'<html><body><div class="container"><div class="main-column">{text}</div></div></body></html>',
    "article": f"<html><body><article>{text}</article></body></html>",
}
seen = {name: (kept(page, True), kept(page, False)) for name, page in pages.items()}
for name, (main, whole) in seen.items():
    print(f"  items of {len(items)}, the text in a <{name}>: {main} in the main content, {whole} in the whole")
if set(seen.values()) != {(0, 3)}:
    sys.exit("NOT AS FOUND: lists stay, or go everywhere")
print("as found: the heading stays and its list is gone")
PYTHON
