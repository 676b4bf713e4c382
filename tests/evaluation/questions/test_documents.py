"""Documents of a corpus, in order of time; a large source gives a part, evenly spread."""

import datetime
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from data.corpus.files import CORPUS_SCHEMA
from data.interval import Interval
from evaluation.questions.documents import Document, read_documents


def write(folder: Path, documents: Sequence[Document], split: str = "future") -> None:
    rows = [
        {"id": each.id, "source": each.source, "first_date": first, "last_date": last, "text": each.text}
        for each in documents
        for first, last in [each.date or (None, None)]
    ]
    place = folder / split / "news"
    place.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, CORPUS_SCHEMA), place / "00000.parquet")


def test_documents_come_in_order_of_time(documents: Sequence[Document], tmp_path: Path) -> None:
    undated = Document("u", "news", None, "Nobody knows when.")
    write(tmp_path, [*reversed(documents), undated])
    assert read_documents(tmp_path, "future") == {"news": [undated, *documents]}
    assert read_documents(tmp_path, "past") == {}


def test_a_large_source_gives_documents_evenly_spread(documents: Sequence[Document], tmp_path: Path) -> None:
    write(tmp_path, documents)
    size = sum(len(document.text) for document in documents)
    found = read_documents(tmp_path, "future", size // 3)["news"]
    assert 8 <= len(found) <= 10
    assert {document.date.last.year for document in found if document.date} == {2018, 2019, 2020}


def test_a_context_is_whole_pieces_behind_a_whole_sentence() -> None:
    first, second = "The bank has raised its rate by a quarter.", "It will not do so again before the spring."
    text = f"Summary\n{first} {second} yes. {first[:-1]} again."
    document = Document("d", "news", Interval.of_day(datetime.date(2020, 1, 1)), text)
    assert [document[piece] for piece in document.pieces] == [
        "Summary",
        first,
        f"{second} yes.",
        f"{first[:-1]} again.",
    ]
    assert [document.context(index) for index in range(4)] == [None, None, 0, 0]
