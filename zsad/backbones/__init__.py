"""Frozen vision and text towers: names, loading, and one pass that serves many methods.

Imports the profiles and recipes of :mod:`zsad.recipe`, the values and :mod:`zsad.plugin`.
"""
