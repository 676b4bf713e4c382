"""What a run says of itself: metrics.jsonl, journal.jsonl, the console and Weights & Biases.

In: what each step came to. Out: a journal that is only appended to, and metrics from which a resume takes
the steps that it runs again; rank 0 alone writes them. Read metrics.py first.
"""
