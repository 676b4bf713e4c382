"""What a run will be, before it is started: arithmetic from the configuration, nothing trained.

In: a configuration, its shards where they exist, and this machine where no `hardware` section is given. Out: sizes,
memory, days, money, advice, a verdict. Read build.py first.
"""
