"""From the user's documents to batches of tokens: corpus, tokenizer, shards and the order of a run; no torch here."""
