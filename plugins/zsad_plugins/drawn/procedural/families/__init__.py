"""Families of images: what they show, what they are called, which defects they can have."""
