"""What a trained model is worth, beside others and against its own text.

In: a run, other models. Out: comparison, tasks, questions, audit, with intervals, in `reports/`. Read compare.py first.
"""
