"""Steps whose loss or gradient stands out: found, computed a second time, skipped or gone back from.

In: a step's figures and those before it. Out: why it is a spike, what the policy makes of it, evidence in the journal.
Read skip_rules.py first.
"""
