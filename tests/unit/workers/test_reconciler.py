from __future__ import annotations

from workers.reconciler import SeenTwice


def test_only_what_two_looks_in_a_row_find_is_confirmed() -> None:
    looks = SeenTwice()
    assert looks.confirm("ready", {"a", "b"}) == set()
    assert looks.confirm("ready", {"b", "c"}) == {"b"}
    assert looks.confirm("ready", {"c"}) == {"c"}


def test_a_look_that_finds_nothing_starts_over() -> None:
    looks = SeenTwice()
    looks.confirm("ready", {"a"})
    assert looks.confirm("ready", set()) == set()
    assert looks.confirm("ready", {"a"}) == set()


def test_what_was_confirmed_needs_two_more_looks() -> None:
    looks = SeenTwice()
    assert [looks.confirm("ready", {"a"}) for _ in range(4)] == [set(), {"a"}, set(), {"a"}]


def test_subjects_do_not_mix() -> None:
    looks = SeenTwice()
    looks.confirm("ready", {"a"})
    assert looks.confirm("draft", {"a"}) == set()
    assert looks.confirm("ready", {"a"}) == looks.confirm("draft", {"a"}) == {"a"}
