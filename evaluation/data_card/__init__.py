"""The card of a corpus and its shards: what is in it, what was left out, that its sums agree, and a lawyer's summary.

In: corpus, tokenizer, shards. Out: data_card.html and data_card.json, training_content.md. Read card.py first.
"""
