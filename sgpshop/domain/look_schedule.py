"""When to ask the gateway again about something uncertain (P13)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

_DAY = 86400.0


def next_look(since: datetime, now: datetime, first: Sequence[float]) -> datetime:
    """The first moment after `now` at which to look again.

    `first` are seconds after `since` (RESOLVE_SCHEDULE); afterwards hourly for a day, then daily,
    without end: uncertainty is never closed by age (P15).
    """
    return next(
        moment
        for moment in (since + timedelta(seconds=pause) for pause in _pauses(first))
        if moment > now
    )


def _pauses(first: Sequence[float]) -> Iterator[float]:
    yield from first
    pause = first[-1]
    while True:
        pause += 3600.0 if pause < _DAY else _DAY
        yield pause
