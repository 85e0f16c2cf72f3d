"""The evaluation protocol: planning, running, keeping and showing results.

Imports :mod:`zsad.detect`, :mod:`zsad.metrics`, :mod:`zsad.data` and what those may import.
"""
