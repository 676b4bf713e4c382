"""Small runs of the planned one's kind, and what they say of its loss before it is started.

In: a configuration and its shards. Out: trained rungs, a law fitted to them, ladder.json and its page.
Read rungs.py first, then law.py.
"""
