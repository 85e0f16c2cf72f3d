"""Low-rank adapters (LoRA) on frozen towers: their options, their folder, and the layers themselves."""
