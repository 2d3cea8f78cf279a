from __future__ import annotations

import pytest
import redis
from rq.exceptions import InvalidJobOperation, NoSuchJobError

from workers.lost_record import RecordLost, lost_record


@pytest.mark.parametrize(
    "error",
    [NoSuchJobError("gone"), InvalidJobOperation("no status"), KeyError("origin"), TypeError("None"), ValueError()],
)
def test_what_rq_raises_for_an_incomplete_record_is_a_lost_record(error: Exception) -> None:
    with pytest.raises(RecordLost, match=rf"job-1: {type(error).__name__}") as raised, lost_record("job-1"):
        raise error
    assert raised.value.__cause__ is error


@pytest.mark.parametrize("error", [redis.exceptions.ConnectionError(), AttributeError(), AssertionError()])
def test_other_errors_pass_through(error: Exception) -> None:
    with pytest.raises(type(error)), lost_record("job-1"):
        raise error
