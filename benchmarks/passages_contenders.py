"""One contender of the benchmark of passages: `NAME FOLDER MEGABYTES` builds, answers the questions and prints JSON.

`rate` is MB of text per CPU-second of building, `disk` the index's bytes for each of the text, `question` the median
milliseconds by the clock of a question that was asked once before, and `found` how many had all that they are made of.
"""

import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PASSAGES = 5  # of 25 words in each question, 4 others behind each


def passages_of(question: str) -> list[str]:
    words = question.split(" ")
    return [" ".join(words[first : first + 25]) for first in range(0, 29 * PASSAGES, 29)]


def ask(questions: list[str], answer: Callable[[str], set[str]]) -> dict[str, float]:
    """`answer` gives the passages that it has found."""
    seconds, found = [], 0
    for question in questions:
        answer(question)
        begin = time.perf_counter()
        longest = answer(question)
        seconds.append(time.perf_counter() - begin)
        found += all(any(part in passage for passage in longest) for part in passages_of(question))
    return {"question": 1e3 * statistics.median(seconds), "found": found / len(questions)}


def ours(folder: Path, _: float, questions: list[str]) -> dict[str, float]:
    from data.shards.format import read_manifest
    from data.shards.passages import find_passages
    from data.shards.place_index import open_index

    def make() -> Any:
        shards = folder / "shards"
        return open_index(shards, folder / "index", folder / "tokenizer", lambda name: f"{shards}/{name}", 1)

    text = sum(file.bytes for file in read_manifest(folder / "shards").splits["train"]["text"].files)
    shutil.rmtree(folder / "index", ignore_errors=True)
    begin = time.process_time()
    index = make()
    seconds = time.process_time() - begin
    disk = sum(file.stat().st_size for file in (folder / "index").iterdir())

    def answer(question: str) -> set[str]:
        return {question[passage.begin : passage.end] for passage in find_passages(index, question).passages}

    return {"rate": text / 1e6 / seconds, "disk": disk / text} | ask(questions, answer)


def suffix_array(folder: Path, megabytes: float, questions: list[str]) -> dict[str, float]:
    """For each byte of the question that begins a word, the longest string from there on, by bisection."""
    import numpy as np
    from pydivsufsort import divsufsort

    text = (folder / "text").read_bytes()[: int(megabytes * 1e6)]
    begin = time.process_time()
    order = divsufsort(text)
    seconds = time.process_time() - begin

    def common(place: int, wanted: bytes) -> int:
        beside = text[place : place + len(wanted)]
        if beside == wanted:
            return len(wanted)
        return next((n for n, pair in enumerate(zip(beside, wanted, strict=False)) if pair[0] != pair[1]), len(beside))

    def longest(wanted: bytes) -> int:
        low, high = 0, len(order)
        while low < high:
            middle = (low + high) // 2
            if text[order[middle] : order[middle] + len(wanted)] < wanted:
                low = middle + 1
            else:
                high = middle
        return max(common(int(order[near]), wanted) for near in (max(low - 1, 0), min(low, len(order) - 1)))

    def answer(question: str) -> set[str]:
        asked = question.encode()
        begins = [0, *(place + 1 for place, byte in enumerate(asked) if byte == ord(" "))]
        return {asked[place : place + longest(asked[place:])].decode("utf-8", "replace") for place in begins}

    disk = np.asarray(order).nbytes / len(text)
    return {"rate": len(text) / 1e6 / seconds, "disk": disk} | ask(questions, answer)


def grep(folder: Path, _: float, questions: list[str]) -> dict[str, float]:
    """One passage that is there is counted in one copy of the text: what a question costs that is known already."""
    size = (folder / "text").stat().st_size
    text = sum(file.stat().st_size for file in (folder / "shards/train").glob("*.bin")) * 2
    seconds = []
    for question in questions[:5]:
        begin = time.perf_counter()
        subprocess.run(
            ["grep", "-cF", passages_of(question)[0], folder / "text"], stdout=subprocess.DEVNULL, check=False
        )
        seconds.append(time.perf_counter() - begin)
    return {"question": 1e3 * statistics.median(seconds) * text / size}


def main() -> None:
    name, folder, megabytes = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
    questions = json.loads((folder / "questions.json").read_text("utf-8"))
    contender = {"ours": ours, "suffix_array": suffix_array, "grep": grep}[name]
    print(json.dumps(contender(folder, megabytes, questions)))


if __name__ == "__main__":
    main()
