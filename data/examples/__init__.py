"""Conversations become shards of which only the model's part counts in the loss.

In: records of messages or of prompts and responses, a tokenizer. Out: the tokenizer with the marks of a chat template,
checked examples, a quarantine, and shards with what counts. Read records.py first, then chat.py and build.py.
"""
