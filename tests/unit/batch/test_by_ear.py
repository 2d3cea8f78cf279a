"""Rejecting and preferring takes: in any order no rejected take is served, and no line lacks a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from tests.support.house import TEXTS, House, bytes_of
from vvbatch.batch.delete import delete, examine
from vvbatch.batch.finish import end_if_complete
from vvbatch.batch.second_files import put_back
from vvbatch.errors import VvbatchError
from vvbatch.ledger.batches import cancel_lines
from vvbatch.ledger.deletion import BatchInUse
from vvbatch.ledger.recovery import reopen
from vvbatch.ledger.schema import lines, takes
from vvbatch.ledger.states import TakeState

Step = tuple[str, int, int]
STEPS = st.tuples(
    st.sampled_from(["submit", "render", "render one", "reject", "reject", "prefer", "cancel", "lose", "delete"]),
    st.integers(0, 5),
    st.integers(0, 5),
)


def do(house: House, step: Step, names: list[str]) -> None:
    """One step. What is refused changes nothing."""
    what, which, number = step
    if what == "submit":
        name = f"b{1 + max((int(each[1:]) for each in names), default=-1)}"
        names.append(name)
        house.submit(name, *TEXTS[: 1 + which % 2], takes=1 + number // 4, keep=number % 2 == 0)
    elif what == "render":
        house.render()
    elif names:
        batch = names[which % len(names)]
        if what == "reject":
            house.reject(batch, str(1 + number % 2))
        elif what == "prefer":
            if number < len(known := house.takes_of(batch)):
                house.prefer(known[number].id)
        elif what == "cancel":
            cancel_lines(house.ledger, batch)
            end_if_complete(house.ledger, batch)
        elif what == "render one":
            house.render_line(f"{batch}-{1 + number % 2:05d}")
        elif what == "lose" and house.line(batch).path:
            Path(house.line(batch).path).unlink(missing_ok=True)
            if not put_back(house.ledger, house.line(batch).id):
                reopen(house.ledger, batch, ["l1"])
        elif what == "delete":
            delete(house.ledger, examine(house.ledger, batch))
            names.remove(batch)


def files(house: House) -> dict[str, tuple[str, str]]:
    """The take and the hash of every line that has a file."""
    with house.ledger.engine.connect() as connection:
        rows = connection.execute(select(lines).where(lines.c.path.is_not(None))).all()
    for row in rows:
        assert bytes_of(row) == row.sha256
    return {row.id: (row.take_id, row.sha256) for row in rows}


def rejected(house: House) -> dict[str, str | None]:
    """Rejected takes with their hashes; one whose only file was lost has none."""
    with house.ledger.engine.connect() as connection:
        query = select(takes.c.id, takes.c.sha256).where(takes.c.state == TakeState.REJECTED)
        return {row.id: row.sha256 for row in connection.execute(query)}


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, min_size=4, max_size=16))
def test_in_any_order_a_rejected_take_is_never_served_and_no_line_loses_its_file(
    home: Path, tmp_path_factory: pytest.TempPathFactory, steps: list[Step]
) -> None:
    house, names = House(tmp_path_factory.mktemp("house")), ["b0"]
    house.submit("b0", *TEXTS[:2], keep=True)
    house.render()
    bad: dict[str, str] = {}
    what = ""
    for step in steps:
        still = rejected(house)
        if what in ("prefer", "delete"):  # both end rejections
            bad = {take: sha256 for take, sha256 in bad.items() if take in still}
        bad |= {take: sha256 for take, sha256 in still.items() if sha256}
        what, before = step[0], files(house)
        try:
            do(house, step, names)
        except (VvbatchError, BatchInUse):
            assert files(house) == before
            continue
        now = files(house)
        for line, (take, sha256) in now.items():
            if before.get(line) != (take, sha256) and what != "prefer":
                assert take not in bad and sha256 not in bad.values(), f"{line} was served a rejected take"
        if what not in ("lose", "delete"):
            assert before.keys() <= now.keys()
    house.ledger.close()
