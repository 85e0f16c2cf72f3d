"""What counts as a method's mathematics."""

from __future__ import annotations

from tools.ceremony import counted

SOURCE = '''"""A docstring
of two lines."""

import torch
from zsad.values import (
    Scores,
)

class Part:
    kept: int  # a field

    def __init__(self, options, context):
        super().__init__()
        self.options, self.seed = options, context.seed
        self.scale = torch.ones(3) * 2

    def __call__(self, scores, features):
        """Return."""
        # a comment
        if features is None:
            raise ValueError("a refusal")
        assert scores is not None
        return scores * self.scale

def build(options, context):
    return Part(options, context)
'''


def test_lines_are_told_apart() -> None:
    # Mathematics: two headers of methods, the class, the scale and the return.
    assert counted(SOURCE) == (12, 5)
    assert counted(SOURCE, declarations=True) == (17, 0)
