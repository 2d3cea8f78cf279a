"""Where vvbatch keeps its things: one home folder, made when it is first needed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


class HomeError(Exception):
    """The home folder cannot be used; the message names the path and the remedy."""


@dataclass(frozen=True)
class Home:
    """The home folder, and the servers that the environment names instead of it (None: the home's own)."""

    path: Path
    redis_url: str | None = None
    own_ledger_url: str | None = None

    @classmethod
    def from_environment(cls) -> Home:
        """From VVBATCH_HOME, VVBATCH_REDIS_URL and VVBATCH_LEDGER_URL; makes the folder. Raises HomeError."""
        named = os.environ.get("VVBATCH_HOME")
        path = Path(named).expanduser().absolute() if named else default_path()
        home = cls(path, os.environ.get("VVBATCH_REDIS_URL") or None, os.environ.get("VVBATCH_LEDGER_URL") or None)
        home.folder("", private=True)
        return home

    @property
    def ledger_url(self) -> str:
        return self.own_ledger_url or f"sqlite:///{self.path / 'ledger.sqlite3'}"

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
        """Until when each worker means to have got on."""
        return self.folder("pulse", private=True)

    @property
    def out(self) -> Path:
        return self.folder("out")

    def folder(self, name: str, *, private: bool = False) -> Path:
        path = self.path / name
        try:
            path.mkdir(parents=True, exist_ok=True)
            if private:
                path.chmod(0o700)
        except OSError as error:
            raise HomeError(
                f"the folder {path} cannot be used: {error.strerror}; set VVBATCH_HOME to a folder of yours"
            ) from error
        if not os.access(path, os.W_OK | os.X_OK):
            raise HomeError(f"the folder {path} is not writable: mend its mode, or set VVBATCH_HOME to another")
        return path


def default_path() -> Path:
    import platformdirs

    return Path(platformdirs.user_data_dir("vvbatch", appauthor=False))
