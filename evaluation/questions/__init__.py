"""Questions with one right answer, made from held-out documents of any domain, and how often a model is right.

In: the held-out and the training text of a corpus; a LanguageModel. Out: items as JSON lines, what counting and lengths
alone score on them, accuracies with intervals. Read make.py first.
"""
