"""One contender of benchmarks/crawls.py: a crawl's records to Parquet, in whichever environment has its package.

Prints {"records": …, "f1": mean over the records of the token F1 against the texts that are meant, by address}.
"""

import importlib
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

RECORDS_PER_GROUP = 1_000
SCHEMA = pa.schema([(name, pa.string()) for name in ("text", "id", "url", "date")])


def ours(file: Path) -> Iterator[dict[str, Any]]:
    from data.source_config import SourceConfig
    from data.sources.documents import input_parts, read_part

    source = SourceConfig(name="crawl", path=str(file))
    for part in input_parts(source):
        for document in read_part(source, part, lambda bad: sys.exit(bad.reason)):
            yield {"text": document.text, "id": document.id, "url": document.url, "date": str(document.date)}


def datatrove(file: Path, extract: bool) -> Iterator[dict[str, Any]]:
    reader = importlib.import_module("datatrove.pipeline.readers").WarcReader(str(file.parent), glob_pattern=file.name)
    documents = reader.run()
    if extract:
        documents = importlib.import_module("datatrove.pipeline.extractors").Trafilatura(timeout=60).run(documents)
    for document in documents:
        yield {"text": document.text, "id": document.id} | {key: document.metadata[key] for key in ("url", "date")}


def token_f1(text: str, meant: str) -> float:
    found, wanted = (Counter(re.findall(r"\w+", one)) for one in (text, meant))
    return 2 * (found & wanted).total() / max(1, found.total() + wanted.total())


def stage(records: Iterable[dict[str, Any]], to: Path) -> Iterator[dict[str, Any]]:
    """Write records as they come, a group at a time, and hand them on."""
    group: list[dict[str, Any]] = []
    with pq.ParquetWriter(to, SCHEMA, compression="zstd") as writer:
        for record in records:
            group.append(record)
            yield record
            if len(group) == RECORDS_PER_GROUP:
                writer.write_table(pa.Table.from_pylist(group, SCHEMA))
                group = []
        writer.write_table(pa.Table.from_pylist(group, SCHEMA))


def main() -> None:
    contender, file, meant = sys.argv[1], Path(sys.argv[2]), json.loads(Path(sys.argv[3]).read_text("utf-8"))
    records = {
        "ours": lambda: ours(file),
        "datatrove": lambda: datatrove(file, extract=True),
        "datatrove_reader": lambda: datatrove(file, extract=False),
    }[contender]()
    # The texts of a few records are compared, as to compare costs time.
    scores = [
        token_f1(record["text"], meant[record["url"]]) if record["url"] in meant else None
        for record in stage(records, file.with_suffix(".parquet"))
    ]
    compared = [score for score in scores if score is not None]
    print(json.dumps({"records": len(scores), "f1": sum(compared) / max(1, len(compared)), "compared": len(compared)}))


if __name__ == "__main__":
    main()
