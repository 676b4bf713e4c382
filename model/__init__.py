"""The architecture and its arithmetic: no processes, no DeepSpeed.

In: a ModelConfig. Out: a decoder, its loss, its initial weights, its sizes and memory, generated text, and Hugging Face
folders in and out. Read transformer.py first, then block.py and attention.py.
"""
