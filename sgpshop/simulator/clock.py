"""The gateway's clock: the machine's, moved by the control interface (protocol.md §13 rule 2)."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone

JST = timezone(timedelta(hours=9), "JST")

#: Answers the present as an aware datetime.
TimeSource = Callable[[], datetime]


def machine_time() -> datetime:
    """The present by the machine's clock, UTC."""
    return datetime.now(UTC)


class Clock:
    """The time at the gateway: `source` plus `offset` seconds, shown in JST."""

    def __init__(self, source: TimeSource = machine_time, offset: float = 0.0) -> None:
        self._source = source
        self.offset = offset

    def now(self) -> datetime:
        """The present as an aware datetime in JST."""
        return self._source().astimezone(JST) + timedelta(seconds=self.offset)

    def timestamp(self) -> int:
        """The present in whole seconds since 1970, as the ledger keeps it."""
        return int(self.now().timestamp())

    def offset_to(self, moment: datetime) -> float:
        """The offset under which it would now be `moment` (aware)."""
        return (moment - self._source()).total_seconds()


def at(timestamp: int) -> datetime:
    """A ledger time as an aware datetime in JST."""
    return datetime.fromtimestamp(timestamp, JST)


def day(timestamp: int) -> date:
    """The JST calendar day of a ledger time: what cancellations compare (protocol.md §3.3)."""
    return at(timestamp).date()


def wire_date(timestamp: int) -> str:
    """`yyyyMMddHHmmss` in JST, the form of TranDate and ProcessDate."""
    return at(timestamp).strftime("%Y%m%d%H%M%S")
