"""Which share of the training text each source should have: small runs over many mixtures, and a law fitted to them.

In: a run's configuration, with shards. Out: the small runs in `mixture/`, reports/mixture.json and its page. Read
build.py first.
"""
