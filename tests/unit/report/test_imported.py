from __future__ import annotations

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from vvbatch.manuscript.importing import ImportedView, SkippedView
from vvbatch.report import tables
from vvbatch.report.imported import print_imported


def test_a_terminal_wraps_what_was_left_out_and_keeps_its_place_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    what = "copyright, 71 characters: “著作権 All rights reserved. ISBN 978-3-16-148410-0, first edition, 2020”"
    place = "OEBPS/text/copyright-page.xhtml:1"
    view = ImportedView("b.yaml", "B", None, None, None, [], {}, [SkippedView(what, "", place, "copyright")], [], None)
    print_imported(view)
    assert f"copyright  {what}  {place}\n" in capsys.readouterr().out
    monkeypatch.setattr(tables, "console", lambda file=None: Console(width=80, force_terminal=True, markup=False))
    print_imported(view)
    shown = Text.from_ansi(capsys.readouterr().out).plain.splitlines()
    assert max(map(cell_len, shown)) <= 80
    assert any(row.startswith("copyright  copyright, 71") and row.endswith(place) for row in shown)
