"""Frozen vision and text towers: loading, numerics profiles, and one pass that serves many methods."""
