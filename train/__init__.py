"""Training: the configuration, the DeepSpeed engine, the loop, checkpoints, monitoring and the command line."""
