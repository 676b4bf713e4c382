"""A tokenizer is learnt from text, and texts become their ids.

In: the training split of a corpus, or a tokenizer.json that is given. Out: tokenizer.json and its report; ids, by the
fastest engine that gives exactly those of `tokenizers`. Read build.py first; for encoding, encoder.py.
"""
