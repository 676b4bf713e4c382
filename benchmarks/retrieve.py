"""Passages about a question: to index a corpus and to ask it, beside bm25s and rank_bm25.

    python benchmarks/retrieve.py [--text FILES] [--passages 100000] [--json]

Ours reads the corpus's Parquet, cuts it into passages, finds their words and writes the index, all of which counts; the
peers get these passages ready in memory, and what counts is that they find the words and index them. All texts are
taken again and again until there are so many passages. A question is ten words in a row out of a document; it is found
where one of the five passages that are given has it. rank_bm25 has the first 10,000 passages alone. Scores are compared
or the script stops: ours are those of bm25s when it is given our words, and bm25s has the same with numba as without.
"""

import datetime
import itertools
import json
import random
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.harness import PEERS_PYTHON, ROOT, figures, measure, parser, read_texts, show

QUESTIONS = 100
WORDS = 10  # of a question
PASSAGE_WORDS = 160
ROWS = 1_000  # of a row group
PEERS = {
    "bm25s": "bm25s 0.3.16, scipy",
    "bm25s_numba": "bm25s 0.3.16, numba for all",
    "rank_bm25": "rank_bm25 0.2.2, 10,000 passages",
}
NAMES = {"ours": "domainlm"} | PEERS
KINDS = {
    "rate": ("build", "MB per CPU-second"),
    "question": ("a question, median", "CPU-ms"),
    "slowest": ("a question, 95th percentile", "CPU-ms"),
    "dated": ("a question up to the middle day, median", "CPU-ms"),
    "found": ("questions whose passage is among five", "share"),
    "disk": ("index", "bytes per byte of text"),
    "peak": ("peak memory", "MB"),
}


def main() -> None:
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--passages", type=int, default=100_000)
    arguments = options.parse_args()
    texts = list(read_texts(arguments.text))
    random.Random(0).shuffle(texts)
    with tempfile.TemporaryDirectory() as name:
        small, whole = Path(name, "small"), Path(name, "whole")
        make(small, texts, 1_000)
        run("ours", small)  # compiles for the other runs
        size, passages = make(whole, texts, arguments.passages)
        runs: dict[str, list[dict[str, Any]]] = {contender: [] for contender in NAMES}
        for _ in range(arguments.repeats):
            for contender, of_contender in runs.items():
                of_contender.append(run(contender, whole))
        run("words", whole)
        check_scores(runs, run("same_words", whole))
    show(f"{passages:,} passages of {size / 1e6:,.0f} MB of text", figures(runs, NAMES, KINDS), arguments.json)


def check_scores(runs: Mapping[str, Sequence[Mapping[str, Any]]], same_words: Mapping[str, Any]) -> None:
    """Raises AssertionError: contenders that compute the same have other scores for the five best of a question."""
    for of_ours in runs["ours"]:
        np.testing.assert_allclose(of_ours["scores"], same_words["scores"], rtol=1e-9)
    np.testing.assert_allclose(runs["bm25s"][0]["scores"], runs["bm25s_numba"][0]["scores"], rtol=1e-5)


def make(folder: Path, texts: Sequence[str], wanted: int) -> tuple[int, int]:
    """A corpus of about so many passages, these passages and questions; bytes of the text and passages."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from data.corpus.files import CORPUS_SCHEMA
    from data.files import finish_stage
    from data.retrieval.passages import cut_passages

    chance, days = random.Random(1), itertools.count()
    corpus, passages, size, taken = folder / "corpus", [], 0, []
    for text in itertools.cycle(texts):
        content = np.frombuffer(text.encode(), np.uint8)
        begins, ends, _ = cut_passages(content, np.array([0, len(content)]), PASSAGE_WORDS)
        passages += [content[begin:end].tobytes().decode() for begin, end in zip(begins, ends, strict=True)]
        size += len(content)
        taken.append(text)
        if len(passages) >= wanted:
            break
    file = corpus / "train" / "text" / "00000.parquet"
    file.parent.mkdir(parents=True)
    first = datetime.date(1990, 1, 1)
    dates = [first + datetime.timedelta(next(days) * 37 % 11_000) for _ in taken]
    columns = dict.fromkeys(CORPUS_SCHEMA.names, [None] * len(taken)) | {
        "id": [f"d{number}" for number in range(len(taken))],
        "text": taken,
        "source": ["text"] * len(taken),
        "first_date": dates,
        "last_date": dates,
    }
    pq.write_table(pa.table(columns, CORPUS_SCHEMA), file, row_group_size=ROWS, compression="zstd")
    finish_stage(corpus, {}, [file])
    (folder / "passages.json").write_text(json.dumps(passages), "utf-8")
    (folder / "questions.json").write_text(json.dumps([question(chance, taken) for _ in range(QUESTIONS)]), "utf-8")
    return size, len(passages)


def question(chance: random.Random, texts: Sequence[str]) -> str:
    while True:
        words = chance.choice(texts).split()
        if len(words) > 5 * WORDS:
            first = chance.randrange(len(words) - WORDS)
            return " ".join(words[first : first + WORDS])


def run(name: str, folder: Path) -> dict:
    """What one contender gives, and its peak memory in MB."""
    python = sys.executable if name in ("ours", "words") else PEERS_PYTHON
    usage = measure([python, ROOT / "benchmarks/retrieve_contenders.py", name, folder])
    return json.loads(usage.output.splitlines()[-1]) | {"peak": usage.peak_bytes / 1e6}


if __name__ == "__main__":
    main()
