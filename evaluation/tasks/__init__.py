"""Tasks with labelled items, by lm-eval.

In: a language model, names of tasks or YAML files of them. Out: figures with intervals, and each item with its answer.
Read harness.py first: it is all that lm-eval is.
"""
