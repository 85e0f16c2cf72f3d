"""Auxiliary training of methods: examples, frozen-feature cache, trainer, runs, generators' protocol.

Imports :mod:`zsad.detect`, :mod:`zsad.weights`, :mod:`zsad.data` and what those may import.
"""
