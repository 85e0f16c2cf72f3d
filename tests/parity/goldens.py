"""Golden files of a parity kit, and the comparison with them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from tests.loading import load_detector
from tests.parity import synthetic, synthetic_second
from tests.parity.synthetic import Array, State
from zsad.detect.detector import Detector

DEVICE = os.environ.get("ZSAD_TEST_DEVICE", "cpu")
"""Where the methods run that are compared."""

MARK = 1e-4
PREPROCESSING_MARK = 1e-6
"""Largest error of an array as a multiple of its spread: in general, and of ``preproc_*``."""


@dataclass(frozen=True)
class Golden:
    """One golden file.

    Attributes:
        path: The npz file.
        meta: Its options.
    """

    path: Path
    meta: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem

    @property
    def method(self) -> str:
        """The method in its authors' spelling; a file about something else has a ``kind``."""
        return str(self.meta.get("method") or self.meta.get("kind"))

    @cached_property
    def arrays(self) -> Mapping[str, Array]:
        """The arrays by name, without the meta."""
        with np.load(self.path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files if name != "meta_json"}


class Kit:
    """A folder of golden files with the inputs they belong to.

    Args:
        root: The folder.
        scratch: Folder for generated files.
    """

    def __init__(self, root: Path, scratch: Path) -> None:
        self.root, self.scratch = root, scratch
        self.manifest: Mapping[str, Any] = json.loads((root / "manifest.json").read_text())
        self._clip_states: dict[tuple[str, int], State] = {}

    @cached_property
    def image_paths(self) -> tuple[Path, ...]:
        """The images in the order of axis 0 of the arrays."""
        return tuple(
            sorted((self.root / "images").glob("*.png"), key=lambda path: (len(path.name), path.name))
        )

    def goldens(self, method: str) -> tuple[Golden, ...]:
        """Return the golden files of a method."""
        return goldens_of(self.root, method)

    def clip_config(self, golden: Golden) -> Path:
        """Return the open_clip model config that the golden was computed with.

        Raises:
            LookupError: The kit has no config of that model and activation.
        """
        configs = {path: json.loads(path.read_text()) for path in sorted(self.root.glob("*.json"))}
        configs = {path: config for path, config in configs.items() if "embed_dim" in config}
        families = {_family(path.stem) for path in configs}
        family = _family(str(golden.meta["weights"])) if "weights" in golden.meta else None
        if family is None and len(families) == 1:
            (family,) = families
        for path, config in configs.items():
            if _family(path.stem) == family and config.get("quick_gelu", False) == golden.meta["quick_gelu"]:
                return path
        raise LookupError(
            f"{golden.name}: no model config for {family}, quick_gelu {golden.meta['quick_gelu']}"
        )

    def clip_state(self, golden: Golden) -> State:
        """Return the CLIP's weights, float32 arrays under OpenAI's keys, after checking their digest."""
        config, seed = self.clip_config(golden), int(golden.meta["seed"])
        family = _family(config.stem)
        if (family, seed) not in self._clip_states:
            state = synthetic.clip_state_dict(json.loads(config.read_text()), seed)
            digests = {_family(name): value for name, value in self.manifest["weights"].items()}
            expected = golden.meta.get("weights_sha256")
            if expected is None and seed == self.manifest["seed"]:
                expected = digests.get(family)
            if expected is not None and synthetic.digest(state) != expected:
                raise ValueError(f"{golden.name}: the generated {family} is not the one it was computed with")
            self._clip_states[family, seed] = state
        return self._clip_states[family, seed]

    def clip_file(self, golden: Golden) -> Path:
        """Return the CLIP's weights as a safetensors file."""
        state = self.clip_state(golden)
        path = self.scratch / f"{_family(self.clip_config(golden).stem)}-{golden.meta['seed']}.safetensors"
        if not path.exists():
            save_file({key: torch.from_numpy(value.copy()) for key, value in state.items()}, path)
        return path

    def backbone(self, golden: Golden) -> str:
        """Return the backbone's name for ``--backbone``: its config and its weights."""
        return f"{self.clip_config(golden)}@{self.clip_file(golden)}"

    def detector(self, golden: Golden, method: str, overrides: Sequence[str], **options: Any) -> Detector:
        """Load a method on the golden's backbone under its official profile, in float32 at its image size."""
        return load_detector(
            method,
            backbone=self.backbone(golden),
            device=DEVICE,
            dtype="float32",
            image_size=golden.meta["image_size"],
            overrides=["profile=official", *overrides],
            **options,
        )

    def with_options(self, golden: Golden) -> Golden:
        """Return the golden of a training step with the options of the method's other golden files.

        Raises:
            LookupError: The kit has none of the method.
        """
        method = str(golden.meta["method"]).partition(" stage ")[0]
        for other in self.goldens(method):
            if other.meta["seed"] == golden.meta["seed"] and "checkpoint" in other.meta:
                return Golden(golden.path, {**other.meta, **golden.meta})
        raise LookupError(f"{golden.name}: the kit has no other golden of {method} to take options from")

    def checkpoint_files(self, golden: Golden) -> list[Path]:
        """Return the files of learned parameters, as :meth:`checkpoint`, where a method has several."""
        names = golden.meta["checkpoint"]
        return [self.checkpoint(Golden(golden.path, {**golden.meta, "checkpoint": name})) for name in names]

    def checkpoint(self, golden: Golden) -> Path:
        """Return the file of learned parameters: the kit's own, else one generated in the same form.

        Raises:
            LookupError: The kit does not have it and :mod:`synthetic` cannot generate it.
        """
        name = str(golden.meta["checkpoint"])
        own = self.root / "checkpoints" / name
        if own.exists():
            return own
        generate = (synthetic.CHECKPOINTS | synthetic_second.CHECKPOINTS).get(Path(name).stem)
        if generate is None:
            raise LookupError(f"{golden.name}: the kit has no checkpoint {name}")
        path = self.scratch / golden.name / name
        if not path.exists():
            content = generate(self.clip_state(golden), int(golden.meta["seed"]), golden.meta)
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save(_tensors(content), path)
        return path

    def checkpoints(self, golden: Golden, write: Callable[[State, int, Path], Sequence[Path]]) -> list[Path]:
        """Return the files of learned parameters where they are several: the kit's own, else generated ones.

        Args:
            golden: Whose ``checkpoint`` names them.
            write: Writes them for a CLIP's weights and a seed into a folder, in the same order.
        """
        names = list(golden.meta["checkpoint"])
        own = [self.root / "checkpoints" / name for name in names]
        if all(path.exists() for path in own):
            return own
        folder = self.scratch / golden.name
        written = list(write(self.clip_state(golden), int(golden.meta["seed"]), folder))
        assert [path.name for path in written] == names
        return written


def _tensors(content: Any) -> Any:
    """Return nested dicts with tensors for arrays."""
    if isinstance(content, Mapping):
        return {key: _tensors(value) for key, value in content.items()}
    return torch.from_numpy(content.copy()) if isinstance(content, np.ndarray) else content


def find_kit() -> Path | None:
    """Return the kit's folder: ``ZSAD_PARITY_KIT``, else the committed one; None if it has no manifest."""
    root = Path(os.environ.get("ZSAD_PARITY_KIT") or Path(__file__).parent / "kit").absolute()
    return root if (root / "manifest.json").is_file() else None


def goldens_of(root: Path, method: str) -> tuple[Golden, ...]:
    """Return a kit's golden files of a method (or kind), in order of their names.

    Args:
        root: The kit's folder.
        method: The method's name, the beginning of the meta's entry up to a space: "Crane" is not "Crane+".
    """
    found = []
    for path in sorted((root / "golden").glob("*.npz")):
        with np.load(path, allow_pickle=False) as archive:
            golden = Golden(path, json.loads(str(archive["meta_json"])))
        if f"{golden.method} ".startswith(f"{method} "):
            found.append(golden)
    return tuple(found)


def _family(name: str) -> str:
    """Return one spelling for TINY_L, tiny-l and tiny-l-gelu, which have the same weights."""
    return name.lower().replace("_", "-").removesuffix("-gelu")


@dataclass(frozen=True)
class Agreement:
    """The worst array of one comparison.

    Attributes:
        golden: Name of the golden file.
        array: Name of the array that comes closest to its mark, or passes it by most.
        difference: Its relative difference.
    """

    golden: str
    array: str
    difference: float

    def __str__(self) -> str:
        return f"parity: {self.golden} worst {self.difference:.1e} {self.array}"


AGREEMENTS: list[Agreement] = []
"""Every comparison of the session, for the summary at its end."""


def differences(
    golden: Mapping[str, Array], mine: Mapping[str, Any], inputs: Collection[str] = ()
) -> dict[str, float]:
    """Return each array's largest error relative to the golden array's spread.

    The spread is max(std, 1e-3 max|x|, 1e-12). Arrays of text or whole numbers are equal (0) or not
    (infinity); infinity also stands for a missing array, another shape, and values that are not finite.

    Args:
        golden: The golden arrays.
        mine: The computed arrays, or torch tensors.
        inputs: Golden arrays that are not to be computed.

    Raises:
        KeyError: ``mine`` or ``inputs`` has an array that the golden file lacks.
    """
    unknown = (set(mine) | set(inputs)) - set(golden)
    if unknown:
        raise KeyError(f"no such golden array: {sorted(unknown)} (there are {sorted(golden)})")
    return {
        name: _difference(array, mine[name]) if name in mine else np.inf
        for name, array in golden.items()
        if name not in inputs
    }


def _difference(golden: Array, value: Any) -> float:
    mine = _as_array(value)
    if mine.shape != golden.shape:
        return np.inf
    if golden.dtype.kind != "f":
        return 0.0 if np.array_equal(golden, mine) else np.inf
    if mine.dtype.kind not in "fiu" or not np.isfinite(mine).all():
        return np.inf
    exact, other = golden.astype(np.float64), mine.astype(np.float64)
    spread = max(float(exact.std()), 1e-3 * float(np.abs(exact).max()), 1e-12)
    return float(np.abs(exact - other).max()) / spread


def _as_array(value: Any) -> Array:
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


def assert_agrees(
    golden: Golden,
    mine: Mapping[str, Any],
    mark: float = MARK,
    wider: Mapping[str, float] | None = None,
    inputs: Collection[str] = (),
) -> None:
    """Fail unless every array of a golden file is in ``mine`` and agrees; note the worst for the summary.

    Args:
        golden: The golden file.
        mine: The computed arrays, or torch tensors.
        mark: Largest relative difference.
        wider: Marks of single arrays, each with a reason in the test.
        inputs: Golden arrays that are not to be computed.

    Raises:
        AssertionError: Lists the arrays that are off, the worst first.
    """
    found = differences(golden.arrays, mine, inputs)
    marks = {name: PREPROCESSING_MARK if name.startswith("preproc") else mark for name in found}
    marks |= {name: value for name, value in (wider or {}).items() if name in found}
    order = sorted(found, key=lambda name: found[name] / marks[name], reverse=True)
    # The image preprocessing is exact and has a mark of its own; the summary is about the models.
    model = [name for name in order if not name.startswith("preproc")] or order
    AGREEMENTS.append(Agreement(golden.name, model[0], found[model[0]]))
    # "not <=" so that a difference that is not a number counts as off.
    wrong = [name for name in order if not found[name] <= marks[name]]
    if wrong:
        lines = "\n".join(
            f"  {name}: {_describe(golden, mine, name, found[name], marks[name])}" for name in wrong
        )
        raise AssertionError(f"{golden.name}: {len(wrong)} of {len(found)} arrays are off\n{lines}")


def _describe(golden: Golden, mine: Mapping[str, Any], name: str, difference: float, mark: float) -> str:
    if name not in mine:
        return "missing"
    exact, other = golden.arrays[name], _as_array(mine[name])
    if exact.shape != other.shape:
        return f"has the shape {other.shape}, golden {exact.shape}"
    if exact.dtype.kind != "f":
        return f"{int((exact != other).sum())} of {exact.size} entries are not equal"
    if not np.isfinite(difference):
        return "has values that are not finite numbers"
    return f"{difference:.2e} of the spread, mark {mark:.0e}"
