"""Built-in methods and parts, one package per method, found through the ``zsad`` entry points."""
