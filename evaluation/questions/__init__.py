"""Questions with one right answer, made from held-out documents of any domain, and how often a model is right.

In: the held-out and the training text of a corpus, an index of it; a LanguageModel. Out: items as JSON lines, what
counting and lengths alone score on them, accuracies with intervals, with passages and without, every way beside every
other; the like of training text as examples to learn from. Read make.py first.
"""
