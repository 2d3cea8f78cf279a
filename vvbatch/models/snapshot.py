"""The files that a profile needs, and their paths in the Hugging Face cache. Nothing here uses the network.

The cache's layout: `models--OWNER--NAME/` with `refs/` (names of revisions), `snapshots/REVISION/` (links) and `blobs/`
(the files, named by their hash). https://huggingface.co/docs/huggingface_hub/guides/manage-cache
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from vvbatch.engine.contract import EngineUnavailable
from vvbatch.home import HomeError, in_user_folder
from vvbatch.profiles import Model

COMMIT = re.compile(r"[0-9a-f]{40}")
REPO = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)
MODEL_FILES = ("config.json", "*.safetensors", "model.safetensors.index.json", "tokenizer.json")
TOKENIZER_FILES = ("tokenizer.json",)


@dataclass(frozen=True)
class Source:
    """A repo at a revision, or a folder of this machine as `repo`; `patterns` are the files that vvbatch uses of it."""

    what: str  # model or tokenizer
    repo: str
    revision: str
    patterns: tuple[str, ...]
    required: tuple[str, ...]

    @property
    def pinned(self) -> bool:
        return COMMIT.fullmatch(self.revision) is not None

    @property
    def local(self) -> bool:
        """A folder of this machine, not a repo of the hub."""
        return Path(os.path.expanduser(self.repo)).is_dir()  # noqa: PTH111  pathlib raises for an unknown ~user

    def __str__(self) -> str:
        return self.repo if self.local else f"{self.repo} at revision {self.revision}"


def sources(model: Model) -> list[Source]:
    """The repos that a VibeVoice profile needs: the model's, and the tokenizer's where it is another one."""
    own = model.tokenizer_repo is None
    required = ("config.json", "tokenizer.json") if own else ("config.json",)
    patterns = MODEL_FILES if own else MODEL_FILES[:-1]
    found = [Source("model", model.repo, model.revision, patterns, required)]
    if model.tokenizer_repo is not None:
        revision = model.tokenizer_revision or "main"
        found.append(Source("tokenizer", model.tokenizer_repo, revision, TOKENIZER_FILES, TOKENIZER_FILES))
    return found


def hub_cache() -> Path:
    """The Hugging Face cache: HF_HUB_CACHE, or `hub` in HF_HOME, or the user's default. Raises EngineUnavailable."""
    from huggingface_hub import constants

    try:
        return Path(in_user_folder(str(constants.HF_HUB_CACHE), "HF_HOME"))
    except HomeError as error:
        raise EngineUnavailable(f"there is no cache for models: {error}") from error


def repo_folder(repo: str) -> Path:
    """The cache's folder for a repo. Raises EngineUnavailable for an invalid name."""
    if not REPO.fullmatch(repo) or ".." in repo:
        raise EngineUnavailable(f"{repo!r} is neither a folder of this machine nor a repo like owner/name")
    return hub_cache() / f"models--{repo.replace('/', '--')}"


def commit_of(repo: str, revision: str) -> str | None:
    """The commit of a revision in the cache; None when the cache has no such name."""
    if COMMIT.fullmatch(revision):
        return revision
    if revision.startswith("/") or ".." in Path(revision).parts:
        return None
    try:
        commit = (repo_folder(repo) / "refs" / revision).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    return commit if COMMIT.fullmatch(commit) else None


def revisions(repo: str) -> list[str]:
    """The commits of which the cache has a snapshot, sorted."""
    folder = repo_folder(repo) / "snapshots"
    return sorted(each.name for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []


def snapshot(repo: str, revision: str) -> Path:
    """The folder of `repo` at `revision` in the cache, or `repo` itself if it is one. Raises EngineUnavailable."""
    folder = Path(os.path.expanduser(repo))  # noqa: PTH111
    if folder.is_dir():
        return folder
    commit = commit_of(repo, revision)
    found = repo_folder(repo) / "snapshots" / (commit or "")
    if commit and found.is_dir():
        return found
    others = revisions(repo)
    if others:
        raise EngineUnavailable(f"{repo} is here at revision {', '.join(others)}, but the profile names {revision}")
    raise EngineUnavailable(f"{repo} at revision {revision} is not on this machine: it is not in {hub_cache()}")
