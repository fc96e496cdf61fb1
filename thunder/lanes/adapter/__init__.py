"""The correction lane: LoRA adapters trained with MLX in bounded windows."""
