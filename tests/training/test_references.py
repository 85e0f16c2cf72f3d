from __future__ import annotations

from pathlib import Path

import pytest

import zsad
from tests.training.drawing import draw_set
from zsad.errors import InputError


@pytest.mark.parametrize("method", ["aprilgan@few-shot", "nearest-neighbour"])
def test_a_few_shot_method_is_not_learned(method: str, tmp_path: Path) -> None:
    data = f"folder={draw_set(tmp_path / 'gear')}"
    with pytest.raises(InputError, match=f"method '{method}' compares with references, and there are none"):
        zsad.train(method, data, tmp_path / "out", backbone="nobody:knows")
    assert not (tmp_path / "out").exists()
