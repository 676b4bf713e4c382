"""What a run will be, before it is started: arithmetic from the configuration, nothing trained.

In: a configuration, and its shards where they exist. Out: sizes, memory, days, money, advice, a verdict. Read build.py
first.
"""
