"""One contender of the near-duplicate benchmark, `NAME FILE`: finds the near-duplicates of a file's texts.

It prints {"cpu_seconds", "dropped"}: the CPU time from the texts in memory (for datatrove: from the file) to the
indices of those that are dropped, and these. The thresholds let through what ours does, two standard errors below 0.8.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

BANDS, ROWS, NGRAM, ACCEPTED = 16, 7, 5, 0.725


def domainlm(texts: list[str], _: Path) -> list[int]:
    import numpy as np

    from data.config import NearDuplicateConfig
    from data.corpus.near_duplicates import find_near_duplicates, signatures

    near = NearDuplicateConfig(bands=BANDS, rows=ROWS, ngram=NGRAM)
    blocks = [signatures(texts[first : first + 1_000], near) for first in range(0, len(texts), 1_000)]
    found = find_near_duplicates(lambda: blocks, np.ones(len(texts), np.uint8), near)
    return np.flatnonzero(found >= 0).tolist()


def _shingles(text: str) -> list[str]:
    words = text.lower().split()
    return [" ".join(words[first : first + NGRAM]) for first in range(max(len(words) - NGRAM + 1, 1))]


def rensa(texts: list[str], _: Path) -> list[int]:
    from rensa import RMinHash, RMinHashDeduplicator

    sketches = RMinHash.from_token_sets([_shingles(text) for text in texts], BANDS * ROWS, 42)
    index = RMinHashDeduplicator(ACCEPTED, BANDS * ROWS, True, BANDS, 42)
    kept = index.add_pairs([(str(number), sketch) for number, sketch in enumerate(sketches)])
    return [number for number, is_kept in enumerate(kept) if not is_kept]


def gaoya(texts: list[str], _: Path) -> list[int]:
    from gaoya.minhash import MinHashStringIndex

    words = (NGRAM, NGRAM)
    index = MinHashStringIndex(32, ACCEPTED, BANDS, ROWS, None, "word", True, words, "smallvec")
    dropped = []
    for number, text in enumerate(texts):
        if index.query(text):
            dropped.append(number)
        else:
            index.insert_document(number, text)
    return dropped


def datasketch(texts: list[str], _: Path) -> list[int]:
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(num_perm=BANDS * ROWS, params=(BANDS, ROWS))
    dropped = []
    for number, text in enumerate(texts):
        sketch = MinHash(num_perm=BANDS * ROWS)
        sketch.update_batch([shingle.encode() for shingle in _shingles(text)])
        if index.query(sketch):
            dropped.append(number)
        else:
            index.insert(number, sketch)
    return dropped


def datatrove(texts: list[str], file: Path) -> list[int]:
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import (
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter
    from datatrove.utils.logging import logger

    logger.remove()
    config = MinhashConfig(n_grams=NGRAM, num_buckets=BANDS, hashes_per_bucket=ROWS)
    with tempfile.TemporaryDirectory() as folder:
        reader = JsonlReader(str(file.parent), glob_pattern=file.name)
        writer = JsonlWriter(f"{folder}/removed", compression=None)
        for tasks, *steps in (
            (1, reader, MinhashDedupSignature(f"{folder}/signatures", config)),
            (BANDS, MinhashDedupBuckets(f"{folder}/signatures", f"{folder}/buckets", config=config)),
            (1, MinhashDedupCluster(f"{folder}/buckets", f"{folder}/ids", config)),
            (1, reader, MinhashDedupFilter(f"{folder}/ids", writer)),
        ):
            LocalPipelineExecutor(
                steps, tasks=tasks, workers=1, skip_completed=False, logging_dir=f"{folder}/logs"
            ).run()
        removed = [json.loads(line) for path in Path(f"{folder}/removed").iterdir() for line in path.open()]
    return sorted(int(record["id"]) for record in removed)


CONTENDERS: dict[str, Callable[[list[str], Path], list[int]]] = {
    function.__name__: function for function in (domainlm, gaoya, rensa, datasketch, datatrove)
}


def main() -> None:
    name, file = sys.argv[1], Path(sys.argv[2])
    with file.open(encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    contender = CONTENDERS[name]
    if name != "datatrove":  # imports and compiled code are loaded before the clock runs
        contender(texts[:2], file)
    begin = time.process_time()
    dropped = contender(texts, file)
    print(json.dumps({"cpu_seconds": time.process_time() - begin, "dropped": dropped}))


if __name__ == "__main__":
    main()
