"""Training of the embedded backbone: ``python -m tools.train_mini --out FOLDER``."""
