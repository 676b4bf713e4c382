"""What a run says of itself: metrics.jsonl, journal.jsonl, the console and Weights & Biases.

In: what each step came to. Out: lines that are only ever appended; rank 0 alone writes them. Read metrics.py first.
"""
