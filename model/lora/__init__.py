"""Low-rank adaptation (LoRA): a frozen base, small matrices beside its own, and peft's folders of them.

In: a Transformer with the weights of a base, and the settings of an adapter. Out: the same model with trainable
matrices, the weights that both amount to, or an adapter's folder. Read lora.py first.
"""
