"""Make a checkout known to Python as an installed distribution, without building or fetching anything.

Plugins are found by the entry points of distributions, so that a path to the sources alone is not enough.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def register(root: Path, site: Path) -> Path:
    """Write what ``importlib.metadata`` reads of the checkout's project into a folder of the import path.

    Args:
        root: The checkout.
        site: The folder.

    Returns:
        The ``dist-info`` folder.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = site / f"{project['name']}-{project['version']}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(head, encoding="utf-8")
    lines = [
        line
        for group, entries in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {target}" for name, target in entries.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join([*lines, ""]), encoding="utf-8")
    return info


if __name__ == "__main__":
    register(Path(sys.argv[1]), Path(sys.argv[2]))
