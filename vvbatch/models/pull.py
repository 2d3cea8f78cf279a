"""Download a model from the hub into the Hugging Face cache: its pinned revision, and only the files that vvbatch uses.

`vvbatch.models.blobs` downloads the large files and resumes after a kill; huggingface_hub then downloads the small ones
and makes the links.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import msgspec

from vvbatch.engine.contract import EngineUnavailable
from vvbatch.models import blobs
from vvbatch.models.blobs import HubFile
from vvbatch.models.integrity import Problem, Progress, blob_of, no_progress, verify
from vvbatch.models.manifest import read_manifest, record_pulled, write_manifest
from vvbatch.models.snapshot import Source, hub_cache, repo_folder, snapshot

ATTEMPTS = 2  # a blob whose bytes are wrong is downloaded once more
SPARE_BYTES = 1 << 30  # left free on the disk
WRONG_BYTES = ("truncated", "unreadable", "corrupt")  # kinds of problems
TOKEN_HELP = "log in with  hf auth login  or set HF_TOKEN"


@dataclass(frozen=True)
class HubSnapshot:
    """The files of a source on the hub, at the commit that its revision names now."""

    source: Source
    commit: str
    files: tuple[HubFile, ...]

    def missing(self) -> list[HubFile]:
        """Files whose blobs are not in the cache."""
        return [each for each in self.files if not blobs.blob_path(self.source.repo, each.oid).is_file()]


def refuse_offline() -> None:
    """Raises EngineUnavailable when the environment forbids network access."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE"):
            raise EngineUnavailable(f"{name} is set, which forbids network access: unset it for this one command")


def endpoint() -> str:
    from huggingface_hub import constants

    return constants.ENDPOINT


@contextmanager
def hub_errors(source: Source) -> Iterator[None]:
    """Errors of the hub and of the connection within the block become EngineUnavailable, with the remedy."""
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    # HTTPError of httpx or httpx2, whichever the hub's client is made with.
    connection_error: type[Exception] = HfHubHTTPError.__mro__[1]
    try:
        yield
    except GatedRepoError as error:
        raise EngineUnavailable(
            f"{source.repo} requires consent on its page at {endpoint()}: give it there, then {TOKEN_HELP}"
        ) from error
    except RevisionNotFoundError as error:
        raise EngineUnavailable(f"{source.repo} has no revision {source.revision} at {endpoint()}") from error
    except RepositoryNotFoundError as error:
        if error.response is not None and error.response.status_code == 401:
            raise EngineUnavailable(
                f"{endpoint()} answers 401 for {source.repo}: it does not exist there, or is private: {TOKEN_HELP}"
            ) from error
        raise EngineUnavailable(f"{source.repo} does not exist at {endpoint()}: try another with --repo") from error
    except HfHubHTTPError as error:
        code = error.response.status_code if error.response is not None else "?"
        help = f": {TOKEN_HELP}" if code in (401, 403) else "; try again later"
        raise EngineUnavailable(f"{endpoint()} answers {code} for {source.repo}{help}") from error
    except connection_error as error:
        raise EngineUnavailable(
            f"no connection to {endpoint()}, or it was lost ({error or type(error).__name__}): "
            "run the same command again to resume; HF_ENDPOINT names a mirror, "
            "`vvbatch models sync` copies from another machine"
        ) from error
    except OSError as error:
        raise EngineUnavailable(
            f"{source.repo} could not be downloaded: {error}; run the same command again to resume"
        ) from error


def find_on_hub(source: Source) -> HubSnapshot:
    """Look a source up on the hub. Raises EngineUnavailable."""
    refuse_offline()
    repo_folder(source.repo)  # raises for an invalid name
    from huggingface_hub import HfApi

    with hub_errors(source):
        info = HfApi(endpoint=endpoint()).model_info(source.repo, revision=source.revision, files_metadata=True)
    files = []
    for each in info.siblings or []:
        oid = each.lfs.sha256 if each.lfs else each.blob_id
        if any(fnmatch(each.rfilename, pattern) for pattern in source.patterns) and oid:
            files.append(HubFile(each.rfilename, each.size or 0, oid))
    absent = sorted(set(source.required) - {each.name for each in files})
    if source.what == "model" and not any(each.name.endswith(".safetensors") for each in files):
        absent.append("*.safetensors")
    if absent:
        raise EngineUnavailable(f"{source} has no {', '.join(absent)} at {endpoint()}: vvbatch cannot use it")
    return HubSnapshot(source, str(info.sha), tuple(files))


def check_space(
    snapshots: list[HubSnapshot], free: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free
) -> int:
    """The bytes to download. Raises EngineUnavailable when they do not fit on the cache's disk."""
    needed = sum(
        each.size - blobs.partial_bytes(hub.source.repo, each.oid) for hub in snapshots for each in hub.missing()
    )
    cache = hub_cache()
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EngineUnavailable(f"the cache {cache} cannot be created: {error.strerror}; set HF_HUB_CACHE") from error
    free_bytes = free(cache)
    if needed and needed + SPARE_BYTES > free_bytes:
        raise EngineUnavailable(
            f"{needed / 1e9:.2f} GB to download and {SPARE_BYTES / 1e9:.2f} GB to keep free are needed, "
            f"{free_bytes / 1e9:.2f} GB are free at {cache}: make room, or set HF_HUB_CACHE to another disk"
        )
    return needed


def pull(hub: HubSnapshot, manifests: Path, fetched: Progress = no_progress, verified: Progress = no_progress) -> Path:
    """Download the missing files, verify every byte, record the hashes. Returns the snapshot's folder.

    Raises EngineUnavailable.
    """
    source = hub.source
    problems: list[Problem] = []
    for _ in range(ATTEMPTS):
        remove_wrong_sizes(hub)
        problems = fetch(hub, fetched)
        if problems:
            continue
        folder = snapshot(source.repo, source.revision)
        manifest = read_manifest(source, folder, manifests)
        pulled = {each.name: each.oid for each in hub.files}
        write_manifest(msgspec.structs.replace(manifest, revision=hub.commit, pulled=pulled), folder, manifests)
        record_pulled(source, hub.commit, manifests)
        problems = verify(source, manifests, progress=verified)
        if not problems:
            return folder
        for problem in problems:
            discard(folder / problem.file, wrong_bytes=problem.kind in WRONG_BYTES)
    found = "; ".join(problem.message for problem in problems)
    raise EngineUnavailable(
        f"{endpoint()} sends other bytes than it announces: {found}; the files were removed, try another mirror"
    )


def fetch(hub: HubSnapshot, progress: Progress = no_progress) -> list[Problem]:
    """Download the missing files and make the links. Returns a problem for each large file with wrong bytes.

    Files with wrong bytes are not kept.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()  # large files are counted below
    total = sum(each.size for each in hub.files)
    done = done_before = total - sum(each.size for each in hub.missing())
    problems = []
    with hub_errors(hub.source):
        for each in hub.missing():
            if each.is_large:
                found = blobs.fetch(hub.source.repo, hub.commit, each, from_offset(progress, done, total))
                if found != each.oid:
                    said = f"{each.name} is {found[:12]}…, but the hub has {each.oid[:12]}…"
                    problems.append(Problem("corrupt", each.name, said))
            done += each.size
        if problems:
            return problems
        # Names are patterns here: an unescaped bracket would begin a set of characters.
        names = [each.name.replace("[", "[[]") for each in hub.files]
        snapshot_download(
            hub.source.repo,
            revision=hub.source.revision,
            allow_patterns=names,
            cache_dir=hub_cache(),
            endpoint=endpoint(),
        )
    if total > done_before:
        progress(total, total)
    return []


def from_offset(progress: Progress, before: int, total: int) -> Callable[[int], None]:
    """Progress of one file, added to the `before` bytes of the earlier files."""
    return lambda done: progress(before + done, total)


def remove_wrong_sizes(hub: HubSnapshot) -> None:
    """Remove blobs of the wrong length: huggingface_hub would use them as complete."""
    for each in hub.files:
        blob = blobs.blob_path(hub.source.repo, each.oid)
        if blob.is_file() and blob.stat().st_size != each.size:
            blob.unlink()


def discard(file: Path, *, wrong_bytes: bool) -> None:
    """Remove a snapshot's file, and with `wrong_bytes` its blob. A good blob may belong to other revisions too."""
    blob = blob_of(file)
    if wrong_bytes and blob:
        if file.resolve().is_relative_to(hub_cache().resolve()):
            file.resolve().unlink(missing_ok=True)
        blob.unlink(missing_ok=True)  # a link, where the cache shares its files
    file.unlink(missing_ok=True)
