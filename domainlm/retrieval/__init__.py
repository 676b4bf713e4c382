"""Passages of the run's own corpus for a question, and the model's answer with them before it.

In: a run's configuration, a question, its date. Out: the index in `retrieval/`, passages with document and date,
answers with citations. Read index.py first.
"""
