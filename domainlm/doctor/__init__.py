"""What a machine lacks for a run, before it is started.

In: this machine, and a run's configuration where one is given. Out: findings, each with what to do. Read examine.py
first.
"""
