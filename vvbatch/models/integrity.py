"""Whether a snapshot is complete and unchanged: its links, its headers, its bytes.

The bytes are compared with the names of the blobs: the cache names a large file by its sha256, a small one by its git
blob hash. `vvbatch.models.manifest` records what was hashed, so that a worker's start does not read unchanged files.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

import msgspec

from vvbatch.engine.contract import EngineUnavailable
from vvbatch.models.manifest import HashedFile, Manifest, read_manifest, read_pulled, write_manifest
from vvbatch.models.snapshot import Source, commit_of, hub_cache, repo_folder, revisions, snapshot, sources
from vvbatch.models.weights import SINGLE, BadWeights, CutOff, read_header, read_json, weight_map, weight_names
from vvbatch.profiles import Profile

BLOCK = 1 << 20
HASH_NAME = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""

Reading = Literal["nothing", "changed", "everything"]
"""Which files are hashed: none (only headers are read), those that changed since they were last hashed, or all."""


def no_progress(done: int, total: int) -> None:
    """The default: progress is not shown."""


@dataclass(frozen=True)
class Problem:
    """`kind`: absent, revision, missing, dangling, outside, truncated, index, unreadable, corrupt, changed or drift."""

    kind: str
    file: str
    message: str


def files_of(source: Source, folder: Path) -> list[Path]:
    """The files of a snapshot that vvbatch uses, links not followed, sorted."""
    return sorted(file for file in folder.iterdir() if any(fnmatch(file.name, each) for each in source.patterns))


def verify(
    source: Source, manifests: Path, read: Reading = "everything", progress: Progress = no_progress
) -> list[Problem]:
    """The problems of a source on this disk. `read` says which files are hashed."""
    try:
        folder = snapshot(source.repo, source.revision)
    except EngineUnavailable as error:
        known = not source.local and bool(revisions(source.repo))
        return [Problem("revision" if known else "absent", source.repo, str(error))]
    problems = list(shape_problems(source, folder))
    if read == "nothing":
        return problems
    broken = {problem.file for problem in problems}
    whole = [file for file in files_of(source, folder) if file.name not in broken]
    return problems + content_problems(source, folder, whole, manifests, read == "everything", progress)


def shape_problems(source: Source, folder: Path) -> Iterator[Problem]:
    """The problems that are found without reading the weights."""
    needed = list(source.required)
    if source.what == "model":
        try:
            needed += weight_names(folder)
        except EngineUnavailable as error:
            yield Problem("index", "model.safetensors.index.json", str(error))
    for name in sorted({*needed, *(file.name for file in files_of(source, folder))}):
        file = folder / name
        if file.is_symlink() and not file.exists():
            yield Problem("dangling", name, f"{file} is a link to {file.readlink()}, which does not exist")
        elif not file.is_file():
            yield Problem("missing", name, f"{file} is missing: {what_is_missing(name, needed)}")
        elif is_outside(source, file):
            yield Problem("outside", name, f"{file} is a link to {file.resolve()}, which is outside the model's cache")
        else:
            yield from unreadable(file)
    yield from index_problems(folder)


def what_is_missing(name: str, needed: Sequence[str]) -> str:
    shards = [each for each in needed if each.endswith(".safetensors")]
    if name in shards and name != SINGLE:
        return f"one shard of {len(shards)}"
    return "the snapshot is incomplete"


def is_outside(source: Source, file: Path) -> bool:
    """Whether a file is neither in its repo's folder nor in the store that all repos of the cache share."""
    if source.local:
        return False
    homes = (repo_folder(source.repo), hub_cache() / "blobs")
    return not any(file.resolve().is_relative_to(home.resolve()) for home in homes)


def unreadable(file: Path) -> Iterator[Problem]:
    try:
        if file.suffix == ".safetensors":
            read_header(file)
        else:
            read_json(file)
    except CutOff as error:
        yield Problem("truncated", file.name, f"{file}: {error}")
    except (BadWeights, OSError) as error:
        yield Problem("unreadable", file.name, f"{file}: {error}")
    except EngineUnavailable as error:
        yield Problem("unreadable", file.name, str(error))


def index_problems(folder: Path) -> Iterator[Problem]:
    """Differences between the index and the shards' headers; shards that cannot be read are left out."""
    try:
        where = weight_map(folder)
        for shard in sorted(set(where.values())):
            held = set(read_header(folder / shard).tensors)
            listed = {tensor for tensor, file in where.items() if file == shard}
            if held != listed:
                name = min(held ^ listed)
                what = "has no" if name in listed else "has an unlisted"
                count = len(held ^ listed)
                yield Problem("index", shard, f"{folder / shard} {what} tensor {name} ({count} differ from the index)")
    except (BadWeights, OSError, EngineUnavailable):
        return  # reported by the file's own check


def content_problems(
    source: Source, folder: Path, files: Sequence[Path], manifests: Path, rehash: bool, progress: Progress
) -> list[Problem]:
    """Hash files and compare the hashes; those of good files are written to the manifest.

    With `rehash` all files are hashed, else those that changed.
    """
    manifest = read_manifest(source, folder, manifests)
    problems, known = [], dict(manifest.files)
    stats = {file: file.stat() for file in files}
    total = sum(stat.st_size for stat in stats.values())
    done = 0
    for file, stat in stats.items():
        expected, known_from = expected_oid(file, manifest)
        here = HashedFile(expected or "", stat.st_size, stat.st_mtime_ns, stat.st_ino)
        named = hub_name(file)
        if named and expected and named != expected:
            problems.append(
                Problem(
                    "drift",
                    file.name,
                    f"{file} is {named[:12]}…, but {known_from} {expected[:12]}…: it is of another revision",
                )
            )
        elif rehash or not expected or known.get(file.name) != here:
            oid = git_blob_hash(file) if expected and len(expected) == 40 else sha256(file, progress, done, total)
            if expected and oid != expected:
                kind = "corrupt" if named or file.name in manifest.pulled else "changed"
                problems.append(
                    Problem(
                        kind, file.name, f"{file} has changed: it is {oid[:12]}…, but {known_from} {expected[:12]}…"
                    )
                )
                known.pop(file.name, None)
            else:
                known[file.name] = HashedFile(oid, stat.st_size, stat.st_mtime_ns, stat.st_ino)
        done += stat.st_size
        progress(done, total)
    if known != manifest.files:
        write_manifest(msgspec.structs.replace(manifest, files=known), folder, manifests)
    return problems


def expected_oid(file: Path, manifest: Manifest) -> tuple[str | None, str]:
    """The hash that a file should have, and where that is known from, as the beginning of a sentence."""
    if file.name in manifest.pulled:
        return manifest.pulled[file.name], "the hub has"
    if named := hub_name(file):
        return named, "its name in the cache says"
    if file.name in manifest.files:
        return manifest.files[file.name].oid, "when it was first verified it was"
    return None, ""


def blob_of(file: Path) -> Path | None:
    """The repo's blob that a snapshot's file links to, its name a hash; itself a link where the cache shares it."""
    if not file.is_symlink():
        return None
    blob = Path(os.path.normpath(file.parent / file.readlink()))
    return blob if blob.parent.name == "blobs" and HASH_NAME.fullmatch(blob.name) else None


def hub_name(file: Path) -> str | None:
    """The hub's name for a snapshot's file, when the cache keeps it under that name."""
    blob = blob_of(file)
    return blob.name if blob else None


def sha256(file: Path, progress: Progress = no_progress, before: int = 0, total: int = 0) -> str:
    """The sha256 of a file, in hex; `progress` counts on from `before` to `total` bytes."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
            before += len(block)
            progress(before, max(total, before))
    return digest.hexdigest()


def git_blob_hash(file: Path) -> str:
    """The hash by which git names a file's content: sha1 of `blob LENGTH`, a NUL and the content."""
    data = file.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def drift(source: Source, manifests: Path) -> str | None:
    """A note when the cache's `main` is another revision than the pinned one, or nothing is pinned."""
    if source.local:
        return None
    if not source.pinned:
        here, pulled = (
            commit_of(source.repo, source.revision),
            read_pulled(manifests).get(f"{source.repo}@{source.revision}"),
        )
        words = f"the profile names {source.revision} of {source.repo}, not a commit: here it is {here}"
        if pulled and pulled != here:
            words += f", but it was {pulled} when it was pulled, so takes may differ from earlier ones"
        return words + "; write the commit into the profile"
    main = commit_of(source.repo, "main")
    if main not in (None, source.revision):
        return f"the profile pins {source.revision[:12]}…, the cache's main is {main}: the pinned one is used"
    return None


def profile_problems(
    profile: Profile, manifests: Path, read: Reading = "everything", progress: Progress = no_progress
) -> list[Problem]:
    """What keeps a profile's model from being used; empty for engines that need no snapshot."""
    if profile.engine != "vibevoice":
        return []
    return [each for source in sources(profile.model) for each in verify(source, manifests, read, progress)]


def remedy(profile: Profile, problems: Sequence[Problem]) -> str:
    """The command that fixes these problems."""
    if all(problem.kind == "changed" for problem in problems):
        return f"restore the file, or take it as it is with  vvbatch models verify {profile.name} --accept"
    if sources(profile.model)[0].local:
        return f"put a whole model into {profile.model.repo}"
    return f"vvbatch models pull {profile.name}"


def require_ready(profile: Profile, manifests: Path) -> None:
    """For a worker's start: all that is wrong with the profile's model, in one line. Raises EngineUnavailable."""
    problems = profile_problems(profile, manifests, "changed")
    if problems:
        found = "; ".join(problem.message for problem in problems)
        raise EngineUnavailable(
            f"the model of profile {profile.name!r} cannot be used: {found}; {remedy(profile, problems)}"
        )
