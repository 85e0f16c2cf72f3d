"""Methods as data: recipes, numerics profiles, training plans, ``--set``, resolution and composition.

Imports the values, :mod:`zsad.plugin` and what those may import, and never torch: whatever can be refused
of a method is, before a weight is loaded.
"""
