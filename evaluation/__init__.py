"""Evaluation: bits per byte of held-out text, baselines that need no GPU, and the report of a run."""
