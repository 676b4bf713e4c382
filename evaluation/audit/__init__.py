"""What a model gives away of its training text: passages, planted secrets, personal data.

In: the training text of shards, the held-out documents, and functions that ask the model. Out: the parts of audit.json.
Read memorisation.py first, then copies.py, exposure.py and personal_samples.py.
"""
