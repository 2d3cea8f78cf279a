from __future__ import annotations

from vvbatch.manuscript.importing import ImportedView, SkippedView
from vvbatch.manuscript.listing import listed
from vvbatch.script.excerpt import width


def test_a_terminal_shortens_what_was_left_out_and_keeps_its_place() -> None:
    what = "copyright, 71 characters: “著作権 All rights reserved. ISBN 978-3-16-148410-0, first edition, 2020”"
    place = "OEBPS/text/copyright-page.xhtml:1"
    view = ImportedView("b.yaml", "B", None, None, None, [], {}, [SkippedView(what, "", place, "copyright")], [], None)
    assert any(what in row for row in listed(view))
    rows = list(listed(view, 80))
    assert max(map(width, rows)) <= 80
    assert rows[-1].endswith(f"…  {place}")
