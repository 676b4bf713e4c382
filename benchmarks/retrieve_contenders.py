"""One contender of the benchmark of retrieval: `NAME FOLDER` builds, answers the questions and prints JSON.

`rate` is MB of text per CPU-second of building, `question`, `slowest` and `dated` CPU-milliseconds of a question,
`found` how many had their ten words in one of the five passages, `disk` the index's bytes for each of the text, and
`scores` those of the five passages of each question. `words` and `same_words` are no contenders: our words, and the
scores that bm25s has with these in float64, which ours have to be.
"""

import json
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

K = 5
WARM = 20  # questions before the clock runs
WORDS = "words.npz"
Found = Sequence[tuple[str, float]]  # passages with their scores, the best first


def ask(questions: list[str], answer: Callable[[str], Found], warm: int = WARM) -> dict[str, Any]:
    seconds, found, scores = [], 0, []
    for question in questions[:warm]:
        answer(question)
    for question in questions:
        begin = time.process_time()
        passages = answer(question)
        seconds.append(time.process_time() - begin)
        found += any(question in " ".join(passage.split()) for passage, _ in passages)
        scores.append([score for _, score in passages])
    return {
        "question": 1e3 * statistics.median(seconds),
        "slowest": 1e3 * statistics.quantiles(seconds, n=20)[-1],
        "found": found / len(questions),
        "scores": scores,
    }


def size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def ours(folder: Path, questions: list[str], text: int) -> dict[str, Any]:
    from data.config import DataConfig
    from data.retrieval.build import build_index, index_inputs
    from data.retrieval.search import Bound, Search, open_index

    config = DataConfig.model_validate({"sources": [{"name": "text", "path": "text"}], "workers": 1})
    index, corpus = folder / "ours", folder / "corpus"
    shutil.rmtree(index, ignore_errors=True)
    begin = time.process_time()
    build_index(config, corpus, index, 160)
    seconds = time.process_time() - begin
    search = Search(open_index(index, index_inputs(config, corpus, 160, None)), "bm25")
    date = search.index.passage(len(search.index.days) // 2, 0.0).date
    middle = Bound(date and date.last, undated=False)

    def answer(question: str, bound: Bound) -> Found:
        return [(passage.text, passage.score) for passage in search.find(question, K, bound)]

    asked = ask(questions, lambda question: answer(question, Bound()))
    dated = ask(questions, lambda question: answer(question, middle))
    return {"rate": text / 1e6 / seconds, "disk": size_of(index) / text, **asked, "dated": dated["question"]}


def words(folder: Path, questions: list[str], text: int) -> dict[str, Any]:
    """Save our words of all passages and questions, each text's behind the last one's."""
    from data.retrieval.words import count_words

    texts = [text.encode() for text in json.loads((folder / "passages.json").read_text("utf-8")) + questions]
    ends = np.cumsum([len(text) for text in texts])
    counted = count_words(np.frombuffer(b"".join(texts), np.uint8), np.concatenate([[0], ends[:-1]]), ends)
    repeated = np.repeat(counted.words, counted.counts)
    np.savez(folder / WORDS, words=repeated, ends=np.cumsum(counted.lengths), vocabulary=len(counted.vocabulary))
    return {}


def of_bm25s(folder: Path, questions: list[str], text: int, backend: str) -> dict[str, Any]:
    import bm25s

    passages = json.loads((folder / "passages.json").read_text("utf-8"))
    index = folder / backend
    shutil.rmtree(index, ignore_errors=True)
    begin = time.process_time()
    tokens = bm25s.tokenize(passages, stopwords=None, show_progress=False)
    model = bm25s.BM25(backend=backend, csc_backend="scipy" if backend == "numpy" else "numpy")
    model.index(tokens, show_progress=False)
    model.save(str(index), show_progress=False)
    seconds = time.process_time() - begin
    model = bm25s.BM25.load(str(index), mmap=True)

    def answer(question: str) -> Found:
        words = bm25s.tokenize([question], stopwords=None, return_ids=False, show_progress=False)
        places, scores = model.retrieve(words, k=K, show_progress=False)
        return [(passages[place], score) for place, score in zip(places[0].tolist(), scores[0].tolist(), strict=True)]

    disk = size_of(index) / text
    return {"rate": text / 1e6 / seconds, "disk": disk, **ask(questions, answer)}


def bm25s(folder: Path, questions: list[str], text: int) -> dict[str, Any]:
    return of_bm25s(folder, questions, text, "numpy")


def bm25s_numba(folder: Path, questions: list[str], text: int) -> dict[str, Any]:
    return of_bm25s(folder, questions, text, "numba")


def same_words(folder: Path, questions: list[str], text: int) -> dict[str, Any]:
    import bm25s

    with np.load(folder / WORDS) as saved:
        ends, size = saved["ends"], int(saved["vocabulary"])
        texts = [part.tolist() for part in np.split(saved["words"], ends[:-1])]
    passages, asked = texts[: -len(questions)], texts[-len(questions) :]
    model = bm25s.BM25(dtype="float64")
    model.index(bm25s.tokenization.Tokenized(passages, {str(word): word for word in range(size)}), show_progress=False)
    scores = [-np.sort(-model.get_scores_from_ids(question))[:K] for question in asked]
    return {"scores": [best.tolist() for best in scores]}


def rank_bm25(folder: Path, questions: list[str], text: int) -> dict[str, Any]:
    from rank_bm25 import BM25Okapi

    passages = json.loads((folder / "passages.json").read_text("utf-8"))[:10_000]
    text = sum(len(passage.encode()) for passage in passages)
    begin = time.process_time()
    model = BM25Okapi([passage.lower().split() for passage in passages])
    seconds = time.process_time() - begin

    def answer(question: str) -> Found:
        return [(passage, 0.0) for passage in model.get_top_n(question.lower().split(), passages, K)]

    asked = ask(questions[:10], answer, warm=0)
    return {"rate": text / 1e6 / seconds, "question": asked["question"]}


def main() -> None:
    name, folder = sys.argv[1], Path(sys.argv[2])
    questions = json.loads((folder / "questions.json").read_text("utf-8"))
    import pyarrow.parquet as pq

    texts = pq.read_table(next((folder / "corpus").rglob("*.parquet")), columns=["text"])["text"]
    contenders = {one.__name__: one for one in (ours, bm25s, bm25s_numba, rank_bm25, words, same_words)}
    contender = contenders[name]
    print(json.dumps(contender(folder, questions, sum(len(text.as_py().encode()) for text in texts))))


if __name__ == "__main__":
    main()
