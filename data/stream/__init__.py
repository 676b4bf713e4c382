"""Rows become the order of a run, which is computed and never stored, and lead back to documents.

In: shards, their packing, the mixture, a seed, numbers of samples. Out: batches of tokens, and the ledger of documents
and steps. Read order.py first, then stream.py.
"""
