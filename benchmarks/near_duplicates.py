"""Near-duplicates: speed, recall and false drops of ours beside gaoya, rensa, datasketch and datatrove.

Copies of a text's documents with some words replaced are planted behind the originals; what is near is known from the
exact Jaccard similarity of each pair's 5-grams.
"""

import json
import random
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.harness import PEERS_PYTHON, Row, compare, measure, parser, read_texts, show
from data.config import NearDuplicateConfig
from data.corpus.near_duplicates import find_near_duplicates, signatures
from data.corpus.shingles import shingle

CONTENDERS = ("domainlm", "gaoya", "rensa", "datasketch", "datatrove")
NOISE = (0.002, 0.005, 0.01, 0.02, 0.04, 0.08)  # share of the words that a copy has replaced


@dataclass(frozen=True)
class Planted:
    """Originals, then their copies in the same order."""

    texts: list[str]
    originals: int
    similarity: list[float]  # of each copy to its original

    @property
    def megabytes(self) -> float:
        return sum(len(text.encode()) for text in self.texts) / 1e6


def plant(texts: Iterable[str], bytes_of_originals: int) -> Planted:
    """Take originals that do not resemble each other, and plant a copy of each."""
    source = random.Random(0)
    near = NearDuplicateConfig(threshold=0.5, bands=36, rows=4)
    taken, size = [], 0
    everything = list(texts)
    source.shuffle(everything)
    for text in everything:
        if len(text) >= 200 and size < bytes_of_originals:
            taken.append(text)
            size += len(text.encode())
    matrix = signatures(taken, near)
    resembled = find_near_duplicates(lambda: [matrix], matrix[:, 0] * 0 + 1, near)
    originals = [text for text, other in zip(taken, resembled, strict=True) if other < 0]
    vocabulary = [word for text in originals[::20] for word in text.split()]
    copies = []
    for number, text in enumerate(originals):
        noise = NOISE[number % len(NOISE)]
        words = [source.choice(vocabulary) if source.random() < noise else word for word in text.split()]
        copies.append(" ".join(words))
    return Planted(originals + copies, len(originals), similarities(originals, copies))


def similarities(originals: list[str], copies: list[str]) -> list[float]:
    """Exact Jaccard similarity of the word 5-grams of each original and its copy."""
    sides = [shingle(texts, 5) for texts in (originals, copies)]
    result = []
    for number in range(len(originals)):
        one, other = (set(side.hashes[side.offsets[number] : side.offsets[number + 1]].tolist()) for side in sides)
        result.append(len(one & other) / len(one | other))
    return result


def rows_of(name: str, planted: Planted, file: Path, repeats: int) -> dict[str, Row]:
    """The figures of one contender."""
    python = sys.executable if name == "domainlm" else PEERS_PYTHON
    rates, peaks = [], []
    for _ in range(repeats):
        usage = measure([python, "benchmarks/near_duplicate_contenders.py", name, file])
        result = json.loads(usage.output.splitlines()[-1])
        rates.append(planted.megabytes / result["cpu_seconds"])
        peaks.append(usage.peak_bytes / 1e6)
    dropped = set(result["dropped"])
    pairs = list(enumerate(planted.similarity, start=planted.originals))
    near = [copy in dropped for copy, similarity in pairs if similarity >= 0.8]
    far = sum(copy in dropped for copy, similarity in pairs if similarity < 0.5)
    originals = sum(number < planted.originals for number in dropped)
    return {
        "rate": Row(name, tuple(rates), "MB per CPU-s"),
        "recall": Row(f"{name}: recall, J >= 0.8", (sum(near) / len(near),), "share"),
        "false": Row(f"{name}: dropped, J < 0.5", (float(far + originals),), "documents"),
        "peak": Row(f"{name}: peak memory", tuple(peaks), "MB"),
    }


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--megabytes", type=float, default=3.0, help="text of originals; datatrove takes 5 CPU-s each")
    options.add_argument("--contenders", nargs="+", default=CONTENDERS, choices=CONTENDERS)
    arguments = options.parse_args()
    planted = plant(read_texts(arguments.text), int(arguments.megabytes * 1e6))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "texts.jsonl")
        with file.open("w", encoding="utf-8") as lines:
            for number, text in enumerate(planted.texts):
                lines.write(json.dumps({"text": text, "id": str(number)}) + "\n")
        found = [rows_of(name, planted, file, arguments.repeats) for name in arguments.contenders]
    rows = [row for kind in found[0] for row in compare([contender[kind] for contender in found])]
    title = (
        f"near-duplicates: {planted.megabytes:.1f} MB, {planted.originals:,} originals and as many copies, "
        f"{sum(similarity >= 0.8 for similarity in planted.similarity):,} of J >= 0.8"
    )
    show(title, rows, arguments.json)


if __name__ == "__main__":
    main()
