"""One text becomes a clean one, or says why it is to be left out: whatever else there is in the corpus.

In: a text and the settings of its source. Out: the text as it is trained on, or the reason why it is not. Read clean.py
first.
"""
