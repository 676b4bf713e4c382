"""Jobs for Slurm: what is asked of it, and the batch script that trains a run, or several as an array.

In: a run's configuration and the words of the command line. Out: a script, kept with the state of the code, and the
numbers of its jobs. Read submit.py first.
"""
