"""The architecture: configuration, layers, loss, initialisation, sizes, generation, Hugging Face folders in and out."""
