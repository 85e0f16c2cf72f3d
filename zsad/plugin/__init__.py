"""How contributions are described, found, isolated and looked up.

Holds the hooks, the frozen specs that they yield, the base of every options model, import strings, the host
and its registries. Imports only :mod:`zsad.errors` and :mod:`zsad.files`, and never torch.
"""
