"""What a run says of the time it still takes: the truth also when nothing moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sgpshop.services.bulk.time_left import RunPace

BEGAN = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


def pace(*, last: float | None, now: float, worked: int = 10, left: int = 30) -> RunPace:
    moved = None if last is None else BEGAN + timedelta(seconds=last)
    return RunPace.of(BEGAN, moved, BEGAN + timedelta(seconds=now), worked=worked, left=left)


def test_the_rest_takes_as_long_as_what_was_done() -> None:
    assert pace(last=20, now=20).words == "残り約 60秒"


def test_the_rest_does_not_grow_while_nothing_moves() -> None:
    assert pace(last=20, now=50) == pace(last=20, now=20)


def test_a_run_that_stands_still_says_so() -> None:
    assert pace(last=20, now=300).words == "1分以上、進んでいません"
    assert pace(last=None, now=300, worked=0).stands_still
    assert pace(last=20, now=300, left=0).words == ""


def test_too_little_was_done_to_tell() -> None:
    assert pace(last=1, now=2, worked=2).words == ""


def test_a_clock_that_was_set_back_promises_nothing_silly() -> None:
    assert pace(last=20, now=-3600) == pace(last=20, now=20)
