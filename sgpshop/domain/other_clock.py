"""How far this machine's clock is from another's, known from what the other one said (P30).

Kept by the monotonic clock, so a clock of ours that is set anew shows at once.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime


def machine_now() -> datetime:
    """What this machine takes for the present, aware; CLOCK_AHEAD is no mistake and not in it."""
    return datetime.now(UTC)


class OtherClock:
    """One other clock, read now and then; safe for many threads."""

    def __init__(self) -> None:
        self._read: tuple[float, datetime] | None = None

    def note(self, moment: datetime) -> None:
        """It says `moment` (aware) now."""
        self._read = time.monotonic(), moment

    @property
    def age(self) -> float:
        """Seconds since it was read last."""
        return float("inf") if self._read is None else time.monotonic() - self._read[0]

    def ahead(self) -> float | None:
        """So many seconds ours is ahead of it (negative: behind); None before it was read."""
        if self._read is None:
            return None
        at, moment = self._read
        return (machine_now() - moment).total_seconds() - (time.monotonic() - at)
