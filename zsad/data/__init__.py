"""Images, masks and pictures: reading, preprocessing, datasets and the protocol of their layouts.

Imports the values, :mod:`zsad.plugin` and what those may import.
"""
