"""The model that an adapter is trained on: its folder, its LoRA, a stand-in for it."""
