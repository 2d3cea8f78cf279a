"""The command line in the test's own process: quick, and what the test has patched holds there too."""

from __future__ import annotations

import json
import os
from typing import Any

from click.testing import CliRunner, Result

from vvbatch.cli import main


class Cli:
    def __call__(self, *words: str, code: int | None = 0) -> Result:
        before = dict(os.environ)
        try:
            done = CliRunner().invoke(main, words)
        finally:
            os.environ.clear()
            os.environ.update(before)
        if code is not None:
            assert done.exit_code == code, f"{words}: exit {done.exit_code}\n{done.output}\n{done.exception!r}"
        return done

    def json(self, *words: str, code: int | None = 0) -> Any:
        return json.loads(self(*words, "--json", code=code).stdout)
