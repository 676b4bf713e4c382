"""How a run is doing, from its folder alone, on any machine that sees the files.

In: metrics.jsonl, journal.jsonl, the checkpoints' names. Out: step, speed, time left, and where time and money went.
Read read.py first.
"""
