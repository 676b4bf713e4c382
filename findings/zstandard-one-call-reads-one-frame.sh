#!/usr/bin/env bash
# zstandard 0.25.0: decompress() and read_to_iter() return the first frame of a .jsonl.zst file and drop the rest.
#
# Expected: a .zst file made of several frames is as valid as a .gz file of several members (RFC 8878, section 3.1: "the
#   content of compressed data is the concatenation of its frames"), and gzip.decompress() reads all members. So the
#   one-call functions give the whole text, or raise.
# What happens: ZstdDecompressor().decompress(data), zstandard.decompress(data) and ZstdDecompressor().read_to_iter()
#   stop at the end of the first frame and return normally; the rest of the input is ignored. zstandard.open(),
#   stream_reader(), copy_stream() and fsspec read all frames of the same file. So two readers of one library, both
#   without an error, disagree about how much text a file holds.
# Why it matters: such files are made by `cat a.zst b.zst`, by a writer that appends (one frame a batch, a common way
#   to survive preemption), and by parallel compressors. A corpus reader built on decompress() trains on the first
#   batch of each file. Every line it reads is sound JSON, so no parser complains.
# Seen on 2026-11-30: of 4 frames with 10 documents each, 10 of 40 documents by decompress() and read_to_iter(), 40 of
#   40 by zstandard.open(), stream_reader(), copy_stream() and fsspec 2026.9.0.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check zstandard==0.25.0 fsspec==2026.9.0

cd "$work"
venv/bin/python - <<'PYTHON'
import gzip
import io
import json
import sys

import fsspec
import zstandard

print(f"zstandard {zstandard.__version__}, fsspec {fsspec.__version__}")
batches = [
    "".join(json.dumps({"text": f"batch {batch}, document {number}"}) + "\n" for number in range(10)).encode()
    for batch in range(4)
]
with open("corpus.jsonl.zst", "ab") as file:
    for batch in batches:
        file.write(zstandard.ZstdCompressor().compress(batch))
with open("corpus.jsonl.zst", "rb") as file:
    data = file.read()


def documents(raw):
    return sum(bool(json.loads(line)["text"]) for line in raw.splitlines())


def opened(opener):
    with opener() as file:
        return documents(file.read())


copied = io.BytesIO()
zstandard.ZstdDecompressor().copy_stream(io.BytesIO(data), copied)
counts = {
    "zstandard.decompress": documents(zstandard.decompress(data)),
    "ZstdDecompressor.decompress": documents(zstandard.ZstdDecompressor().decompress(data)),
    "ZstdDecompressor.read_to_iter": documents(b"".join(zstandard.ZstdDecompressor().read_to_iter(io.BytesIO(data)))),
    "zstandard.open": opened(lambda: zstandard.open("corpus.jsonl.zst", "rb")),
    "ZstdDecompressor.stream_reader": opened(lambda: zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data))),
    "ZstdDecompressor.copy_stream": documents(copied.getvalue()),
    "fsspec.open": opened(lambda: fsspec.open("corpus.jsonl.zst", "rb", compression="zstd")),
    "gzip.decompress (the same as gzip members)": documents(gzip.decompress(b"".join(map(gzip.compress, batches)))),
}
for way, count in counts.items():
    print(f"  {count:2} of 40 documents  {way}")
if list(counts.values()) != [10, 10, 10, 40, 40, 40, 40, 40]:
    sys.exit("NOT AS FOUND: the readers no longer differ in this way")
print("as found: the one-call readers drop every frame but the first, without an error")
PYTHON
