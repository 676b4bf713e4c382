"""The leak test on dated text of yours: how many documents it finds whose date was moved, and false alarms.

    python benchmarks/leaks.py --text DATED.jsonl.zst … [--moved 3 10 30] [--plant 50] [--json]

Of each file some documents, from the later seven tenths, are dated so many years earlier; all others count as right.
"""

import datetime
import io
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.harness import Row, parser, show
from data.corpus.leaks import births, count_words, make_calendar, merge, suspects
from data.written_dates import read_written

Dated = list[tuple[str, datetime.date]]


def main() -> None:
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--moved", type=int, nargs="+", default=[3, 10, 30], help="years")
    options.add_argument("--plant", type=int, default=50, help="documents that are moved")
    arguments = options.parse_args()
    rows = []
    for file in arguments.text:
        documents = list(read_dated(file))
        for years in (0, *arguments.moved):
            rows += measured(f"{file.name.split('.')[0]}, {years} years", documents, years, arguments.plant)
    show("The leak test", rows, arguments.json)


def read_dated(file: Path) -> Iterator[tuple[str, datetime.date]]:
    """Text and last day of the records of JSON lines, packed by zstd or not, that have a date."""
    with file.open("rb") as raw:
        packed = file.suffix == ".zst"
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw) if packed else raw, "utf-8")
        for record in map(json.loads, lines):
            if record.get("date"):
                yield record["text"], read_written(record["date"]).last


def measured(name: str, documents: Dated, years: int, plant: int) -> list[Row]:
    """Of the documents with some moved by so many years; of 0 years none is."""
    days = [day for _, day in documents]
    late = [place for place, day in enumerate(days) if day > sorted(days)[3 * len(days) // 10]]
    moved = set(Random(0).sample(late, plant)) if years else set()
    dates = [day.replace(year=day.year - years, day=1) if place in moved else day for place, day in enumerate(days)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "staged.parquet")
        column = pa.array(dates, pa.date32())
        texts, split = [text for text, _ in documents], pa.array([0] * len(dates), pa.uint8())
        pq.write_table(pa.table({"first_date": column, "last_date": column, "text": texts, "split": split}), file)
        began = time.process_time()
        calendar = make_calendar([pq.read_table(file)["first_date"]])
        judged, suspected = suspects(file, births(merge([count_words(file, calendar)]), calendar), calendar, 0)
        seconds = time.process_time() - began
    found = {each.row for each in suspected}
    rate = sum(len(text.encode()) for text in texts) / 1e6 / seconds
    shares = {"found": len(found & moved) / plant} if years else {}
    shares["false alarms"] = len(found - moved) / judged
    return [Row(f"{name}: {kind}", (share,), "share") for kind, share in shares.items()] + [
        Row(f"{name}: speed", (rate,), "MB per CPU-s")
    ]


if __name__ == "__main__":
    main()
