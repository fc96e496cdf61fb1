"""Windows of training: ranks and their watch, steps, checkpoints."""
