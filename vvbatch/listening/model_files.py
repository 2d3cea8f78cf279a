"""Model files that ship inside the wheels of other packages, each verified by its sha256."""

from __future__ import annotations

import hashlib
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from vvbatch.listening.contract import REMEDY, ListeningUnavailable

if TYPE_CHECKING:
    import onnxruntime


def model_file(package: str, path: str, sha256: str) -> Path:
    """The file `path` of an installed package, without importing the package. Raises ListeningUnavailable."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ListeningUnavailable(f"the package {package} is missing: {REMEDY}")
    return verified(Path(spec.origin).parent / path, sha256)


def verified(file: Path, sha256: str) -> Path:
    """The file, if its content has the expected sha256. Raises ListeningUnavailable."""
    try:
        with file.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise ListeningUnavailable(f"{file} cannot be read ({error.strerror}): {REMEDY}") from error
    if found != sha256:
        raise ListeningUnavailable(f"{file} is not the expected model: its sha256 is {found}, not {sha256}; {REMEDY}")
    return file


def session(file: Path, threads: int) -> onnxruntime.InferenceSession:
    """An onnxruntime session on the CPU with `threads` threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    return onnxruntime.InferenceSession(str(file), sess_options=options, providers=["CPUExecutionProvider"])


def versions_of(*packages: str) -> dict[str, str]:
    return {package: metadata.version(package) for package in packages}
