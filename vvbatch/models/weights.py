"""The weight files of a snapshot and their safetensors headers, read without torch.

The format: 8 bytes with the header's length (little-endian), the header as JSON, then the tensors' bytes without gaps.
Source: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from vvbatch.engine.contract import EngineUnavailable

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
LONGEST_HEADER = 100_000_000  # bytes, as in the format's own reader


class Entry(msgspec.Struct, frozen=True):
    """One tensor of a header; `data_offsets` count from the header's end, in bytes."""

    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


class BadWeights(Exception):
    """A weight file is damaged; the message says what was found."""


class CutOff(BadWeights):
    """The file ends before it should."""


@dataclass(frozen=True)
class Header:
    tensors: Mapping[str, Entry]
    start: int  # of the tensors' bytes in the file
    metadata: Mapping[str, str]

    @property
    def file_size(self) -> int:
        """The size that the file should have, in bytes."""
        return self.start + max((entry.data_offsets[1] for entry in self.tensors.values()), default=0)


def read_header(file: Path) -> Header:
    """The header, checked against itself and against the file's size. Raises BadWeights, OSError."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > LONGEST_HEADER:
            raise BadWeights(f"it is not a safetensors file ({size:,} bytes)")
        text = stream.read(length)
    if len(text) < length:
        raise CutOff(f"it ends within its header: {size:,} bytes, the header alone has {length + 8:,}")
    try:
        data = json.loads(text)
        metadata = msgspec.convert(data.pop("__metadata__", {}), dict[str, str])
        header = Header(msgspec.convert(data, dict[str, Entry]), length + 8, metadata)
    except (ValueError, AttributeError, TypeError) as error:
        raise BadWeights(f"its header cannot be read: {error}") from error
    check_gaps(header)
    if size < header.file_size:
        raise CutOff(f"it is cut off: {size:,} bytes, its header says {header.file_size:,}")
    if size > header.file_size:
        raise BadWeights(f"it is too long: {size:,} bytes, its header says {header.file_size:,}")
    return header


def check_gaps(header: Header) -> None:
    at = 0
    for name, entry in sorted(header.tensors.items(), key=lambda item: item[1].data_offsets):
        if entry.data_offsets[0] != at or entry.data_offsets[1] < at:
            raise BadWeights(f"its header has tensor {name} at {entry.data_offsets}, expected from {at}")
        at = entry.data_offsets[1]


def read_json(file: Path) -> dict[str, object]:
    """A JSON object. Raises EngineUnavailable."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise EngineUnavailable(f"{file} is missing: the snapshot is incomplete, pull the model again") from error
    except OSError as error:
        raise EngineUnavailable(f"{file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise EngineUnavailable(f"{file} is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise EngineUnavailable(f"{file} does not hold a JSON object")
    return data


def weight_map(folder: Path) -> dict[str, str]:
    """The file of each tensor, according to the index; empty without an index. Raises EngineUnavailable."""
    index = folder / INDEX
    if not index.is_file():
        return {}
    found = read_json(index).get("weight_map", {})
    try:
        where = msgspec.convert(found, dict[str, str])
    except msgspec.ValidationError as error:
        raise EngineUnavailable(f"{index}: weight_map: {error}") from error
    for name in where.values():
        if Path(name).name != name:
            raise EngineUnavailable(f"{index} names the file {name!r}, which is not in this folder")
    return where


def weight_names(folder: Path) -> list[str]:
    """The names of the weight files that a snapshot should have. Raises EngineUnavailable."""
    if (folder / INDEX).is_file():
        return sorted(set(weight_map(folder).values()))
    return [SINGLE]


def weight_files(folder: Path) -> list[Path]:
    """The paths of the weight files. Raises EngineUnavailable if one is missing."""
    files = [folder / name for name in weight_names(folder)]
    if files == [folder / SINGLE] and not files[0].is_file():
        raise EngineUnavailable(f"{folder} holds no {SINGLE} (other formats are not read); pull the model again")
    for file in files:
        if not file.is_file():
            raise EngineUnavailable(f"{file} is missing: pull the model again")
    return files
