"""The architecture: configuration, layers, loss, initialisation, sizes, generation and the Hugging Face export."""
