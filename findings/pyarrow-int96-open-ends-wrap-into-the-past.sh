#!/usr/bin/env bash
# pyarrow 26.0.1: a date of 9999-12-31 in Parquet of INT96, as Spark writes an open end, is read as 1816-03-29.
#
# Expected: the day that was written, or an error, as for a column of timestamp[us] that is cast to nanoseconds ("would
#   result in out of bounds timestamp").
# What happens: INT96 is read as timestamp[ns], which ends in April 2262; what is later or before 1677 wraps round,
#   without a word. So do ParquetFile, read_table, dataset and, through it, datasets 5.2.0. With
#   coerce_int96_timestamp_unit="us" the day is right; datasets has no setting for it.
# Why it matters: Spark, Impala and awswrangler write times so, and tables of banks and insurers say 9999-12-31 for
#   "until further notice". A hold-out by date puts these rows into the oldest training text. (Public reports of others'
#   readers: apache/arrow-rs issue 982, apache/datafusion 1359; of the same wrap: aws/aws-sdk-pandas 3358.)
# Seen on 2026-11-30: three readers of three give 1816-03-29 for 9999-12-31 and 1715-06-13 for 2300-01-01.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check pyarrow==26.0.1

cd "$work"
cat > show.py <<'PYTHON'
import datetime
import sys

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq

written = [datetime.datetime(2019, 7, 1), datetime.datetime(9999, 12, 31), datetime.datetime(2300, 1, 1)]
table = pa.table({"valid_to": pa.array(written, pa.timestamp("us"))})
pq.write_table(table, "a.parquet", use_deprecated_int96_timestamps=True)
read = {
    "read_table": pq.read_table("a.parquet"),
    "ParquetFile": pq.ParquetFile("a.parquet").read(),
    "dataset": pyarrow.dataset.dataset("a.parquet").to_table(),
    "coerced": pq.ParquetFile("a.parquet", coerce_int96_timestamp_unit="us").read(),
}
days = {
    name: [str(day)[:10] for day in of_reader["valid_to"].cast(pa.timestamp("us"), safe=False).to_pylist()]
    for name, of_reader in read.items()
}
print("pyarrow", pa.__version__)
for name, of_reader in days.items():
    print(f"{name}: {of_reader}")
right, wrapped = [str(day)[:10] for day in written], ["2019-07-01", "1816-03-29", "1715-06-13"]
if days.pop("coerced") != right or any(of_reader != wrapped for of_reader in days.values()):
    sys.exit("NOT AS FOUND: times of INT96 are read otherwise")
print("as found: times of INT96 from 2262 on are read as days of other centuries, without an error")
PYTHON
"$work/venv/bin/python" show.py
