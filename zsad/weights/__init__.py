"""Learned weights: files and their cards, import of checkpoints, adapters (LoRA), repositories.

Imports :mod:`zsad.data`, :mod:`zsad.backbones`, :mod:`zsad.recipe` and what those may import.
"""
