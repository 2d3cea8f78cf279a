"""Bring a model from the hub into the Hugging Face cache, at its pinned revision, only the files that vvbatch uses.

Large files come by `vvbatch.models.blobs`, which goes on where a killed process was; huggingface_hub then fetches the
small ones, and makes the links.
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
from vvbatch.models.blobs import Wanted
from vvbatch.models.integrity import Problem, Progress, blob_of, no_progress, verify
from vvbatch.models.manifest import note_pulled, read_manifest, write_manifest
from vvbatch.models.snapshot import Source, hub_cache, repo_folder, snapshot

ATTEMPTS = 2  # a blob whose bytes are wrong is fetched once more
SPARE_BYTES = 1 << 30  # left free on the disk
WRONG_BYTES = ("truncated", "unreadable", "corrupt")  # kinds of problems
TOKEN_HELP = "log in with  hf auth login  or set HF_TOKEN"


@dataclass(frozen=True)
class Offer:
    """What the hub has at a revision."""

    source: Source
    commit: str
    files: tuple[Wanted, ...]

    def missing(self) -> list[Wanted]:
        """Files whose blobs are not in the cache."""
        return [each for each in self.files if not blobs.place(self.source.repo, each.oid).is_file()]


def refuse_offline() -> None:
    """Raises EngineUnavailable when the environment forbids to ask the hub."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE"):
            raise EngineUnavailable(f"{name} is set, so the hub may not be asked: unset it for this one command")


def endpoint() -> str:
    from huggingface_hub import constants

    return constants.ENDPOINT


@contextmanager
def hub_errors(source: Source) -> Iterator[None]:
    """What can go wrong with the hub, as EngineUnavailable with the remedy."""
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    # HTTPError of httpx or httpx2, whichever the hub's client is made with.
    connection_error: type[Exception] = HfHubHTTPError.__mro__[1]
    try:
        yield
    except GatedRepoError as error:
        raise EngineUnavailable(
            f"{source.repo} asks for consent on its page at {endpoint()}: give it, then {TOKEN_HELP}"
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
            f"no connection to {endpoint()}, or it broke off ({error or type(error).__name__}): "
            "the same command goes on; HF_ENDPOINT names a mirror, `vvbatch models sync` copies from another machine"
        ) from error
    except OSError as error:
        raise EngineUnavailable(f"{source.repo} could not be fetched: {error}; the same command goes on") from error


def ask(source: Source) -> Offer:
    """What the hub has of a source. Raises EngineUnavailable."""
    refuse_offline()
    repo_folder(source.repo)  # refuses what is no repo's name
    from huggingface_hub import HfApi

    with hub_errors(source):
        info = HfApi(endpoint=endpoint()).model_info(source.repo, revision=source.revision, files_metadata=True)
    files = []
    for each in info.siblings or []:
        oid = each.lfs.sha256 if each.lfs else each.blob_id
        if any(fnmatch(each.rfilename, pattern) for pattern in source.patterns) and oid:
            files.append(Wanted(each.rfilename, each.size or 0, oid))
    absent = sorted(set(source.required) - {each.name for each in files})
    if source.what == "model" and not any(each.name.endswith(".safetensors") for each in files):
        absent.append("*.safetensors")
    if absent:
        raise EngineUnavailable(f"{source} has no {', '.join(absent)} at {endpoint()}: it is not what vvbatch can use")
    return Offer(source, str(info.sha), tuple(files))


def check_space(
    offers: list[Offer], free: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free
) -> int:
    """The bytes to fetch. Raises EngineUnavailable when they do not fit on the cache's disk."""
    needed = sum(each.size - blobs.begun(offer.source.repo, each.oid) for offer in offers for each in offer.missing())
    cache = hub_cache()
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EngineUnavailable(f"the cache {cache} cannot be made: {error.strerror}; set HF_HUB_CACHE") from error
    available = free(cache)
    if needed and needed + SPARE_BYTES > available:
        raise EngineUnavailable(
            f"{needed / 1e9:.2f} GB are to be fetched and {SPARE_BYTES / 1e9:.2f} GB kept free, "
            f"{available / 1e9:.2f} GB are free at {cache}: make room, or set HF_HUB_CACHE to another disk"
        )
    return needed


def pull(offer: Offer, manifests: Path, fetched: Progress = no_progress, verified: Progress = no_progress) -> Path:
    """Fetch what is missing, verify every byte, note it. Returns the snapshot. Raises EngineUnavailable."""
    source = offer.source
    problems: list[Problem] = []
    for _ in range(ATTEMPTS):
        remove_misfits(offer)
        problems = fetch(offer, fetched)
        if problems:
            continue
        folder = snapshot(source.repo, source.revision)
        manifest = read_manifest(source, folder, manifests)
        pulled = {each.name: each.oid for each in offer.files}
        write_manifest(msgspec.structs.replace(manifest, revision=offer.commit, pulled=pulled), folder, manifests)
        note_pulled(source, offer.commit, manifests)
        problems = verify(source, manifests, progress=verified)
        if not problems:
            return folder
        for problem in problems:
            discard(folder / problem.file, wrong_bytes=problem.kind in WRONG_BYTES)
    found = "; ".join(problem.message for problem in problems)
    raise EngineUnavailable(
        f"{endpoint()} gives other bytes than it announces: {found}; they were removed, try another mirror"
    )


def fetch(offer: Offer, progress: Progress = no_progress) -> list[Problem]:
    """Bring the missing files and the links; returns large files that came with wrong bytes, which are not kept."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()  # what is large is counted here
    total = sum(each.size for each in offer.files)
    done = done_before = total - sum(each.size for each in offer.missing())
    problems = []
    with hub_errors(offer.source):
        for each in offer.missing():
            if each.is_large:
                found = blobs.fetch(offer.source.repo, offer.commit, each, counted(progress, done, total))
                if found != each.oid:
                    said = f"{each.name} is {found[:12]}…, but the hub has {each.oid[:12]}…"
                    problems.append(Problem("corrupt", each.name, said))
            done += each.size
        if problems:
            return problems
        # A name is also a pattern: brackets would be read as a choice of letters.
        names = [each.name.replace("[", "[[]") for each in offer.files]
        snapshot_download(
            offer.source.repo,
            revision=offer.source.revision,
            allow_patterns=names,
            cache_dir=hub_cache(),
            endpoint=endpoint(),
        )
    if total > done_before:
        progress(total, total)
    return []


def counted(progress: Progress, before: int, total: int) -> Callable[[int], None]:
    """Counts the bytes of one file on from those before it."""
    return lambda done: progress(before + done, total)


def remove_misfits(offer: Offer) -> None:
    """huggingface_hub takes a blob that is there for complete: one of another length is in its way."""
    for each in offer.files:
        blob = blobs.place(offer.source.repo, each.oid)
        if blob.is_file() and blob.stat().st_size != each.size:
            blob.unlink()


def discard(file: Path, *, wrong_bytes: bool) -> None:
    """Remove a snapshot's file; with wrong bytes also its blob, which another revision may have too otherwise."""
    blob = blob_of(file)
    if wrong_bytes and blob:
        if file.resolve().is_relative_to(hub_cache().resolve()):
            file.resolve().unlink(missing_ok=True)
        blob.unlink(missing_ok=True)  # a link, where the cache shares its files
    file.unlink(missing_ok=True)
