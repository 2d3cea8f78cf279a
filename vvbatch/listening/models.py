"""Model files that lie inside other packages' wheels, each known by its sha256."""

from __future__ import annotations

import hashlib
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vvbatch.listening import REMEDY, EarsUnavailable


def model_file(package: str, path: str, sha256: str) -> Path:
    """The file `path` of an installed package, which is not imported. Raises EarsUnavailable."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise EarsUnavailable(f"the package {package} is missing: {REMEDY}")
    file = Path(spec.origin).parent / path
    return known(file, sha256)


def known(file: Path, sha256: str) -> Path:
    """The file, if its bytes are the ones that were tried. Raises EarsUnavailable."""
    try:
        with file.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise EarsUnavailable(f"{file} cannot be read ({error.strerror}): {REMEDY}") from error
    if found != sha256:
        raise EarsUnavailable(f"{file} is not the model that is known: its sha256 is {found}, not {sha256}; {REMEDY}")
    return file


def session(file: Path, threads: int) -> Any:
    """An onnxruntime session on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    return onnxruntime.InferenceSession(str(file), sess_options=options, providers=["CPUExecutionProvider"])


def versions_of(*packages: str) -> dict[str, str]:
    return {package: metadata.version(package) for package in packages}
