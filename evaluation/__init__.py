"""What is measured: bits per byte of held-out text, and baselines on the same text that need no GPU.

In: the held-out documents of shards or corpus, a function from tokens to losses, and for baselines the training text.
Out: scores by source, split and period. Read bits_per_byte.py first; what is shown of it is in pages/.
"""
