"""Records become a corpus: cleaned, filtered, split by date, de-duplicated, decontaminated, and every loss counted.

In: the records of `data.sources`. Out: {split}/{source}/{part}.parquet and report.json. Read build.py first, then its
three phases: staging.py, deduplicate.py, write_kept.py.
"""
