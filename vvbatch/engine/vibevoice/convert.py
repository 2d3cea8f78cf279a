"""From the original's layout to transformers': the same bytes under other names, copied as a stream.

A weight file gets a new header and its tensors are copied block by block, so memory stays at one block.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from vvbatch import store
from vvbatch.engine.contract import EngineUnavailable
from vvbatch.models.integrity import Progress, no_progress
from vvbatch.models.layout import is_original, transformers_name
from vvbatch.models.snapshot import snapshot, sources
from vvbatch.models.weights import INDEX, read_header, read_json, weight_files, weight_map
from vvbatch.profiles import Profile

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = 8 << 20
ALIGNMENT = 8  # of the tensors' first byte, as the format's own writer does it


def convert(profile: Profile, target: Path, progress: Progress = no_progress) -> Path:
    """Write the profile's model to `target`, a new folder: there completely or not at all. Raises EngineUnavailable."""
    folder = snapshot(profile.model.repo, profile.model.revision)
    if not is_original(read_json(folder / "config.json")):
        raise EngineUnavailable(f"{folder} has transformers' layout already")
    if target.exists():
        raise EngineUnavailable(f"{target} exists already: name another folder with --out, or remove it")
    files = weight_files(folder)
    total = sum(file.stat().st_size for file in files)
    store.check_writable(target.parent, total)
    temporary = Path(tempfile.mkdtemp(prefix=store.TEMP_PREFIX, dir=target.parent))
    try:
        done = 0
        for file in files:
            rename_tensors(file, temporary / file.name)
            done += file.stat().st_size
            progress(done, total)
        write_rest(profile, folder, temporary)
        check(folder, temporary)
        store.sync_folder(temporary)
        temporary.chmod(0o755)
        temporary.rename(target)
        store.sync_folder(target.parent)
    except BaseException:
        shutil.rmtree(temporary)
        raise
    return target


def rename_tensors(source: Path, target: Path) -> None:
    """Copy a weight file, its tensors by transformers' names."""
    header = read_header(source)
    entries: dict[str, object] = {"__metadata__": {**header.metadata, "format": "pt"}}
    for name, entry in header.tensors.items():
        entries[transformers_name(name)] = {
            "dtype": entry.dtype,
            "shape": entry.shape,
            "data_offsets": list(entry.data_offsets),
        }
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    with source.open("rb") as old, target.open("xb") as new:
        new.write(len(text).to_bytes(8, "little") + text)
        old.seek(header.start)
        shutil.copyfileobj(old, new, BLOCK)
        new.flush()
        os.fsync(new.fileno())


def write_rest(profile: Profile, folder: Path, target: Path) -> None:
    """The index, the configuration in transformers' terms, and the tokenizer, next to the model's files."""
    from vvbatch.engine.vibevoice.checkpoint import read_config

    where = weight_map(folder)
    if where:
        renamed = {transformers_name(name): file for name, file in where.items()}
        metadata = read_json(folder / INDEX).get("metadata", {})
        store.write_manifest(target / INDEX, {"metadata": metadata, "weight_map": renamed})
    config = {**read_config(folder).to_dict(), "architectures": ["VibeVoiceForConditionalGeneration"]}
    store.write_manifest(target / "config.json", config)
    last = sources(profile.model)[-1]
    tokenizer = snapshot(last.repo, last.revision) / "tokenizer.json"
    if not tokenizer.is_file():
        raise EngineUnavailable(f"{tokenizer} is missing: run  vvbatch models pull {profile.name}")
    store.write_atomically(target / "tokenizer.json", tokenizer.read_bytes())


def check(original: Path, converted: Path) -> None:
    """Load the result as the engine does, and compare every tensor with the original's. Raises EngineUnavailable."""
    from vvbatch.engine.vibevoice.checkpoint import Checkpoint

    before, after = Checkpoint(original), Checkpoint(converted)
    wrong = [name for name in before.shapes if not bits(before.tensor(name)).equal(bits(after.tensor(name)))]
    before.close()
    after.close()
    if wrong or before.shapes != after.shapes:
        raise EngineUnavailable(f"the converted model differs from {original} in {', '.join(wrong) or 'its tensors'}")


def bits(tensor: Tensor) -> Tensor:
    """A tensor's bytes, so that a NaN equals itself and types are compared too."""
    import torch

    return tensor.reshape(-1).view(torch.uint8)
