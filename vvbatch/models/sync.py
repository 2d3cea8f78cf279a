"""Copy models from another machine's Hugging Face cache with rsync. The source is only read; snapshots stay links.

Blobs are copied before the snapshots that link to them, so that no link is ever without its blob.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from vvbatch.engine.contract import EngineUnavailable
from vvbatch.models.snapshot import hub_cache

INSTALL = "install rsync 3 (macOS: brew install rsync; Debian, Ubuntu: apt install rsync; Fedora: dnf install rsync)"
REMOTE = re.compile(r"([\w.][\w.+-]*@)?([A-Za-z0-9][\w.-]*|\[[0-9A-Fa-f:.]+\]):(?!:)[^-].*", re.ASCII)
DAEMON = re.compile(r"rsync://([\w.][\w.+-]*@)?([A-Za-z0-9][\w.-]*|\[[0-9A-Fa-f:.]+\])(:\d+)?/\w.*", re.ASCII)
CONNECT_S = 30
REPO_FOLDER = re.compile(r"models--[\w.-]+", re.ASCII)
LINE = re.compile(r"d\S+\s+[\d.,]+\s+\S+\s+\S+\s+(.+)")


def find_rsync() -> str:
    """The path of rsync 3 or newer. Raises EngineUnavailable; the rsync of macOS is another program."""
    found = shutil.which("rsync")
    if found is None:
        raise EngineUnavailable(f"`models sync` needs rsync, which is not on this machine: {INSTALL}")
    output = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=30, check=False).stdout
    version = re.search(r"rsync\s+version\s+v?(\d+)\.", output)
    if version is None or int(version[1]) < 3:
        first = output.splitlines()[0] if output else "no version"
        raise EngineUnavailable(f"{found} is not rsync 3 or newer ({first}): {INSTALL}")
    return found


def checked_source(source: str) -> str:
    """The source in rsync's form, ending in a slash. Raises ValueError for what is none, or could be an option."""
    if source.startswith("-") or any(ord(character) < 32 for character in source):
        raise ValueError(f"{source!r} is not a source: it must not begin with '-' or hold control characters")
    folder = Path(os.path.expanduser(source))  # noqa: PTH111  pathlib raises for an unknown ~user
    if folder.is_dir():
        return f"{folder.resolve()}/"
    if DAEMON.fullmatch(source) or ("://" not in source and REMOTE.fullmatch(source)):
        return source.rstrip("/") + "/"
    raise ValueError(f"{source!r} is neither a folder here, nor user@host:path, nor rsync://host/module/path")


def run(arguments: Sequence[str], report: Callable[[str], None] | None = None) -> str:
    """Run rsync without a shell. Returns its output, or passes each line of it to `report`.

    Raises EngineUnavailable with rsync's message.
    """
    # -s: the remote shell does not expand the path.
    command = [find_rsync(), "-s", f"--timeout={CONNECT_S}", *arguments]
    lines = []
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True, errors="replace"
        ) as process:
            for line in process.stdout or ():
                lines.append(line)
                if report:
                    report(line.rstrip())
        errors.seek(0)
        reason = errors.readline().strip() or "no reason given"
    if process.returncode:
        source = arguments[arguments.index("--") + 1]
        raise EngineUnavailable(
            f"rsync from {source} failed (exit {process.returncode}): {reason}; run the same command again to resume"
        )
    return "".join(lines)


def listed(source: str) -> list[str]:
    """The model repos' folders in a source, sorted."""
    output = run(["--list-only", "--no-h", "--", source])
    names = [found[1] for line in output.splitlines() if (found := LINE.fullmatch(line))]
    return sorted(names)


def find_cache(source: str) -> tuple[str, list[str]]:
    """The folder of the hub's cache, the source or its `hub`, and its repo folders. Raises EngineUnavailable."""
    names = listed(source)
    if "hub" in names and not any(REPO_FOLDER.fullmatch(name) for name in names):
        source, names = f"{source}hub/", listed(f"{source}hub/")
    repos = [name for name in names if REPO_FOLDER.fullmatch(name)]
    if not repos:
        raise EngineUnavailable(
            f"{source} holds no models--OWNER--NAME folder: "
            "name the other machine's cache, usually ~/.cache/huggingface/hub"
        )
    return source, repos


def sync(source: str, repo_folder: str, report: Callable[[str], None] | None = None) -> Path:
    """Copy one repo's folder into this machine's cache; nothing here is deleted. Raises EngineUnavailable."""
    target = hub_cache() / repo_folder
    target.mkdir(parents=True, exist_ok=True)
    options = ["-rt", "--partial-dir=.rsync-partial", "--chmod=ugo=rwX", "--exclude=*.incomplete", "--exclude=*.lock"]
    progress = ["--info=progress2,stats0"] if report else []
    ends = ["--", f"{source}{repo_folder}/", f"{target}/"]
    # A blob may be a link to a file in the other cache's shared store: that file is copied under the blob's name.
    run([*options, *progress, "--copy-links", "--include=/blobs/***", "--exclude=*", *ends], report)
    run([*options, "--links", "--safe-links", "--exclude=/blobs", *ends])
    return target
