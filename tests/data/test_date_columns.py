"""Files of before dates were intervals are read as exact days, wherever documents are read."""

import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.corpus.files import corpus_batches, read_row_groups
from data.date_columns import intervals_of
from data.interval import Interval
from data.shards.documents import read_documents
from data.shards.format import DOCUMENT_COLUMNS

DAY = datetime.date(2018, 12, 31)
WANTED = ["id", "first_date", "last_date", "date_kind", "title", "text"]
OLD = pa.table(
    {
        "id": ["a", "b"],
        "text": ["one", "two"],
        "source": ["news", "news"],
        "date": pa.array([DAY, None], pa.date32()),
        "licence": pa.nulls(2, pa.string()),
        "url": pa.nulls(2, pa.string()),
    }
)
EXPECTED = [Interval.of_day(DAY), None]


def test_an_older_corpus_is_read_as_days(tmp_path: Path) -> None:
    file = tmp_path / "00000.parquet"
    pq.write_table(OLD, file)
    [batch] = corpus_batches([file], WANTED)
    whole = read_row_groups(file, [0], WANTED)
    for found in (batch, whole):
        assert found.schema.names == WANTED
        assert intervals_of(found) == EXPECTED
        assert found.column("text").to_pylist() == ["one", "two"]
        assert found.column("title").to_pylist() == found.column("date_kind").to_pylist() == [None, None]
    [batch] = corpus_batches([file], ["text"])
    assert batch.schema.names == ["text"]


def test_older_tables_of_shards_are_read_as_days(tmp_path: Path) -> None:
    old = OLD.select(["id", "source", "date"])
    for name in ("first_token", "tokens", "bytes"):
        old = old.append_column(name, pa.array([0, 3], pa.int64()))
    pq.write_table(old, tmp_path / "news.parquet")
    for only in (None, pc.field("id").isin(["a", "b"])):
        found = read_documents(tmp_path / "news.parquet", only)
        assert found.schema.names == DOCUMENT_COLUMNS.names
        assert intervals_of(found) == EXPECTED
        assert found["tokens"].to_pylist() == [0, 3]
