"""The home folder, which holds all of vvbatch's data; it is created when it is first needed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from vvbatch.errors import UnavailableError


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
        """From VVBATCH_HOME, VVBATCH_REDIS_URL and VVBATCH_LEDGER_URL; creates the folder. Raises HomeError."""
        named = os.environ.get("VVBATCH_HOME")
        try:
            path = Path(named).expanduser().absolute() if named else default_path()
        except RuntimeError as error:  # ~user without a home folder
            raise HomeError(f"VVBATCH_HOME={named}: {error}; set it to a folder of yours") from error
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
    import platformdirs

    return Path(platformdirs.user_data_dir("vvbatch", appauthor=False))
