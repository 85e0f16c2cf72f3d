"""The tabs of the demo, one a file."""
