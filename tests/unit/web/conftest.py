from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.web import Site, serving


@pytest.fixture(scope="module")
def module_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One home for all tests of a module: a server takes a second to start."""
    from tests.conftest import READY_PROFILE
    from vvbatch import profiles

    folder = tmp_path_factory.mktemp("web")
    configs = folder / "configs"
    configs.mkdir()
    for name in ("ready", "ready2"):
        (configs / f"{name}.yaml").write_text(READY_PROFILE)
    profiles.load.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VVBATCH_HOME", str(folder / "home"))
        patch.setenv("VVBATCH_CONFIGS", str(configs))
        for name in ("VVBATCH_REDIS_URL", "VVBATCH_LEDGER_URL", "VVBATCH_TOKEN_FILE"):
            patch.delenv(name, raising=False)
        yield folder
    profiles.load.cache_clear()


@pytest.fixture(scope="module")
def site(module_home: Path) -> Iterator[Site]:
    """A server with a worker of the profile `ready`."""
    with serving() as site:
        yield site


@pytest.fixture
def client(site: Site) -> Iterator[httpx2.Client]:
    with site.client() as client:
        yield client
