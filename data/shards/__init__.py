"""Ids become files, and files become rows.

In: a corpus and its tokenizer. Out: token ids with a table of their documents under one manifest, and the packing:
which tokens make the rows of a run; and where a text's passages stand. Read format.py first, then encode.py, packing.py
and place_index.py.
"""
