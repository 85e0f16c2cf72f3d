"""A method made runnable: the shared pass, the text side, scopes, the detector and its predictions.

Imports :mod:`zsad.weights`, :mod:`zsad.data`, :mod:`zsad.backbones` and what those may import.
"""
