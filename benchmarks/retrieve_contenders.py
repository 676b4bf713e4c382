"""One contender of the benchmark of retrieval: `NAME FOLDER` builds, answers the questions and prints JSON.

`rate` is MB of text per CPU-second of building, `question`, `slowest` and `dated` CPU-milliseconds of a question,
`found` how many had their ten words in one of the five passages, `disk` the index's bytes for each of the text.
"""

import json
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

K = 5
WARM = 20  # questions before the clock runs


def ask(questions: list[str], answer: Callable[[str], list[str]], warm: int = WARM) -> dict[str, float]:
    seconds, found = [], 0
    for question in questions[:warm]:
        answer(question)
    for question in questions:
        begin = time.process_time()
        passages = answer(question)
        seconds.append(time.process_time() - begin)
        found += any(question in " ".join(passage.split()) for passage in passages)
    return {
        "question": 1e3 * statistics.median(seconds),
        "slowest": 1e3 * statistics.quantiles(seconds, n=20)[-1],
        "found": found / len(questions),
    }


def size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def ours(folder: Path, questions: list[str], text: int) -> dict[str, float]:
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
    asked = ask(questions, lambda question: [passage.text for passage in search.find(question, K)])
    dated = ask(questions, lambda question: [passage.text for passage in search.find(question, K, middle)])
    return {"rate": text / 1e6 / seconds, "disk": size_of(index) / text, **asked, "dated": dated["question"]}


def of_bm25s(folder: Path, questions: list[str], text: int, backend: str) -> dict[str, float]:
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

    def answer(question: str) -> list[str]:
        words = bm25s.tokenize([question], stopwords=None, return_ids=False, show_progress=False)
        places, _ = model.retrieve(words, k=K, show_progress=False)
        return [passages[place] for place in places[0].tolist()]

    disk = size_of(index) / text
    return {"rate": text / 1e6 / seconds, "disk": disk, **ask(questions, answer)}


def bm25s(folder: Path, questions: list[str], text: int) -> dict[str, float]:
    return of_bm25s(folder, questions, text, "numpy")


def bm25s_numba(folder: Path, questions: list[str], text: int) -> dict[str, float]:
    return of_bm25s(folder, questions, text, "numba")


def rank_bm25(folder: Path, questions: list[str], text: int) -> dict[str, float]:
    from rank_bm25 import BM25Okapi

    passages = json.loads((folder / "passages.json").read_text("utf-8"))[:10_000]
    text = sum(len(passage.encode()) for passage in passages)
    begin = time.process_time()
    model = BM25Okapi([passage.lower().split() for passage in passages])
    seconds = time.process_time() - begin
    asked = ask(questions[:10], lambda question: model.get_top_n(question.lower().split(), passages, K), 0)
    return {"rate": text / 1e6 / seconds, "question": asked["question"]}


def main() -> None:
    name, folder = sys.argv[1], Path(sys.argv[2])
    questions = json.loads((folder / "questions.json").read_text("utf-8"))
    import pyarrow.parquet as pq

    texts = pq.read_table(next((folder / "corpus").rglob("*.parquet")), columns=["text"])["text"]
    contender = {"ours": ours, "bm25s": bm25s, "bm25s_numba": bm25s_numba, "rank_bm25": rank_bm25}[name]
    print(json.dumps(contender(folder, questions, sum(len(text.as_py().encode()) for text in texts))))


if __name__ == "__main__":
    main()
