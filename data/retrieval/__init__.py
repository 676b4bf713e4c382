"""A corpus becomes an index of its passages, and a question the passages that are about it, by words and by meaning.

In: the training split of a finished corpus. Out: `retrieval/`, mapped when it is asked; passages with document, date
and score; the prompt that has them. Only this room knows what a passage is. Read search.py first.
"""
