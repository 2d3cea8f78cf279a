"""What `--help` shows of every command."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tests.conftest import ROOT
from tests.support.cli import Cli
from tests.unit.cli.test_errors import every_command
from vvbatch.cli import ledger
from vvbatch.cli.common import KINDS
from vvbatch.ledger.export import TABLES
from vvbatch.ledger.records import BatchKind
from vvbatch.ledger.states import BatchState, LineState, TakeState


@every_command
def test_every_command_has_a_help_with_an_example(words: tuple[str, ...], command: click.Command) -> None:
    shown = Cli()(*words, "--help").stdout
    assert "Example:" in shown
    assert command.help and command.help[0].isupper()


@every_command
def test_no_help_replaces_the_users_crontab(words: tuple[str, ...], command: click.Command) -> None:
    keeps_crontab(command.help or "")


@pytest.mark.parametrize(
    "file", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda file: file.name
)
def test_no_document_replaces_the_users_crontab(file: Path) -> None:
    keeps_crontab(file.read_text())


def keeps_crontab(text: str) -> None:
    """`crontab -` replaces the whole crontab: what is piped into it begins with the present one."""
    joined = re.sub(r"\\+\n\s*", " ", text)
    for line in joined.splitlines():
        if re.search(r"\|\s*crontab -(\s|$)", line):
            assert "(crontab -l;" in line, line


def test_the_options_offer_every_kind_state_and_table_of_the_ledger() -> None:
    assert tuple(BatchKind) == KINDS
    assert tuple(BatchState) == ledger.BATCH_STATES
    assert tuple(LineState) == ledger.LINE_STATES
    assert tuple(TakeState) == ledger.TAKE_STATES
    assert ledger.TABLES == TABLES


@pytest.mark.slow
def test_help_does_not_load_the_database_or_an_engine() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from vvbatch.cli import main, COMMANDS\n"
        "[CliRunner().invoke(main, [name, '--help']) for name in COMMANDS]\n"
        "print([name for name in ('sqlalchemy', 'redis', 'rq', 'torch', 'piper') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_submitting_a_script_does_not_load_numpy(tmp_path: Path) -> None:
    script = tmp_path / "s.yaml"
    script.write_text("version: 1\nmodel: draft\nlines:\n- The lamp went out.\n")
    code = (
        "import sys; from pathlib import Path; from vvbatch.home import Home; from vvbatch.batch import submit\n"
        "from vvbatch.cli.inputs import plan_scripts; from vvbatch.batch.plan import Overrides\n"
        f"(one,) = plan_scripts((Path({str(script)!r}),), Overrides(), Home.from_environment(), chapters=True)\n"
        "print(len(one.plan.lines), [name for name in ('numpy', 'soundfile') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stdout.strip() == "1 []", done.stderr
