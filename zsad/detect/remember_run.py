"""What ``zsad remember`` and ``zsad.remember`` do: references into a file of memories."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from zsad.detect.detector import Detector
from zsad.detect.loading import load
from zsad.detect.memories import Remembered
from zsad.detect.memory_file import save_memories
from zsad.detect.references import ReferenceFiles, ReferenceRequest, check_takes_references, find_references
from zsad.detect.remember import remember_files
from zsad.detect.request import DetectorRequest
from zsad.errors import InputError
from zsad.files import check_writable
from zsad.plugin.host import Host, get_host

SUFFIX = ".safetensors"


@dataclass(frozen=True, kw_only=True)
class RememberRequest(DetectorRequest):
    """References, and the method that remembers them.

    Attributes:
        references: Where they lie.
        out: The file.
        batch_size: Images per pass.
    """

    references: ReferenceRequest
    out: Path
    batch_size: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.out.suffix != SUFFIX:
            raise InputError(f"--out {self.out}: a memory is a {SUFFIX} file; give it that ending")

    def check(self, host: Host) -> None:
        """Refuse what can be refused before seconds go into a backbone.

        Raises:
            InputError: As :meth:`DetectorRequest.check`, or the method takes no references of this kind.
        """
        super().check(host)
        check_takes_references(host, self, self.references)


@dataclass(frozen=True)
class Memorised:
    """What came of it.

    Attributes:
        path: The file.
        detector: What made it.
        memories: What it holds, by class.
        files: The references.
    """

    path: Path
    detector: Detector
    memories: dict[str, Remembered]
    files: ReferenceFiles


def remember_into(
    request: RememberRequest,
    host: Host | None = None,
    found: Callable[[ReferenceFiles], object] = lambda files: None,
) -> Memorised:
    """Remember references and write the memories of all their classes into one file.

    Args:
        request: What is wanted.
        host: Plugin host, by default the process's own.
        found: Is called with the references, before the backbone is loaded.

    Raises:
        InputError: Whatever does not exist or does not fit.
        ZsadError: The file cannot be written; a former one stays.
    """
    host = host or get_host()
    request.check(host)
    files = find_references(request.references)
    found(files)
    check_writable(request.out.parent)
    detector = load(request, host)
    for name in files.classes:
        remember_files(detector, files, name, request.batch_size)
    save_memories(
        request.out,
        detector,
        detector.memories,
        shots=request.references.shots,
        seed=request.references.seed,
    )
    return Memorised(request.out, detector, detector.memories, files)
