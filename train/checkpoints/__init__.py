"""What a run has learnt, on disk: saved while it goes on, found again, loaded on any number of ranks.

In: the engine's state. Out: step_000500/ folders that are whole or absent, and from them a run's start or a plain
model. Read folders.py first, then saving.py and resume.py.
"""
