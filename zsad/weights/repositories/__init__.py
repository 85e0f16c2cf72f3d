"""Repositories of learned weights: on the Hugging Face hub, or a folder in the same layout."""
