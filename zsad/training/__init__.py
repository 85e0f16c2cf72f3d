"""Training: auxiliary training of methods, and of the embedded backbone."""
