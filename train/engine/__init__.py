"""All that is DeepSpeed, and what it is built from: the optimizer, the initial weights, where a step's memory lies.

In: the configuration, a device, the number of ranks. Out: an engine that makes gradients and applies or drops them.
Read engine.py first: no other module of the project imports DeepSpeed.
"""
