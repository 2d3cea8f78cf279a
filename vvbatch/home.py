"""The home folder, which holds all of vvbatch's data; it is created when it is first needed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from vvbatch.errors import UnavailableError, require_utf8


class HomeError(UnavailableError):
    """The home folder cannot be used; the message names the path and the remedy."""


@dataclass(frozen=True)
class Home:
    """The home folder, and the servers that the environment names (None: the home's own)."""

    path: Path
    redis_url: str | None = field(default=None, repr=False)  # an address may hold a password
    own_ledger_url: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Resolve the path: by two spellings of it, processes would look for two servers and wait for each other."""
        object.__setattr__(self, "path", Path(os.path.realpath(self.path)))

    @classmethod
    def from_environment(cls) -> Home:
        """From VVBATCH_HOME, VVBATCH_REDIS_URL and VVBATCH_LEDGER_URL; creates the folder.

        Raises HomeError, and InputError for a name that is not UTF-8.
        """
        named = os.environ.get("VVBATCH_HOME")
        path = Path(in_user_folder(named, "VVBATCH_HOME")).absolute() if named else default_path()
        require_utf8(str(path), "the home folder")
        home = cls(path, os.environ.get("VVBATCH_REDIS_URL") or None, os.environ.get("VVBATCH_LEDGER_URL") or None)
        home.folder("")
        return home

    @property
    def ledger_url(self) -> str:
        """SQLAlchemy's address of the ledger; may hold a password."""
        if self.own_ledger_url:
            return self.own_ledger_url
        from sqlalchemy import URL  # it escapes special characters in the path

        file = str(self.path / "ledger.sqlite3")
        return URL.create("sqlite", database=file).render_as_string(hide_password=False)

    @property
    def redis_folder(self) -> Path:
        return self.folder("redis", private=True)

    @property
    def logs(self) -> Path:
        return self.folder("logs")

    @property
    def cache(self) -> Path:
        return self.folder("cache")

    @property
    def voices(self) -> Path:
        return self.folder("voices")

    @property
    def pending(self) -> Path:
        """Finished takes that the ledger has not recorded yet."""
        return self.folder("pending", private=True)

    @property
    def pulse(self) -> Path:
        """Deadline files: when each worker promises progress."""
        return self.folder("pulse", private=True)

    @property
    def out(self) -> Path:
        return self.folder("out")

    def folder(self, name: str, *, private: bool = False) -> Path:
        path = self.path / name
        try:
            # A new home is private to its user; the mode of an existing folder is its owner's choice.
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.mkdir(exist_ok=True)
            if private:
                path.chmod(0o700)
        except OSError as error:
            raise HomeError(
                f"the folder {path} cannot be used: {error.strerror}; set VVBATCH_HOME to a folder of yours"
            ) from error
        if not os.access(path, os.W_OK | os.X_OK):
            raise HomeError(f"the folder {path} is not writable: fix its mode, or set VVBATCH_HOME to another")
        return path


def default_path() -> Path:
    """Where a home folder lies if VVBATCH_HOME names none. Raises HomeError without a user's folder."""
    import platformdirs

    try:
        path = platformdirs.user_data_dir("vvbatch", appauthor=False)
    except RuntimeError:
        path = "~"
    return Path(in_user_folder(path, "VVBATCH_HOME"))


def in_user_folder(path: str, variable: str) -> str:
    """The path with `~` replaced by the user's folder. Raises HomeError where that is unknown; it names `variable`."""
    found = os.path.expanduser(path)  # noqa: PTH111  pathlib raises an error without the name of the user
    if found.startswith("~"):
        who = "this user (no HOME, and no entry for the user id in the system)" if found[1:2] in ("", "/") else found
        raise HomeError(f"the folder of {who} is unknown: set {variable} to a folder of yours")
    return found


def user_folder() -> Path | None:
    """The user's folder; None where it is unknown, as with an unknown user id in a container."""
    try:
        return Path(in_user_folder("~", "HOME"))
    except HomeError:
        return None
