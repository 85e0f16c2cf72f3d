"""Training of the embedded backbone: ``python -m zsad.training.mini --out FOLDER``."""
