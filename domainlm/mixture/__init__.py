"""Which share of the training text each source should have: small runs over many mixtures, and a law fitted to them."""
