"""What a rank runs: `python -m train CONFIG`, started by srun, torchrun or the `deepspeed` launcher.

In: the configuration and its shards. Out: checkpoints, metrics.jsonl, journal.jsonl, DONE. Read loop.py first, then
step.py and gradient.py.
"""
