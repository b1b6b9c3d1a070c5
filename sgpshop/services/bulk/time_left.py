"""How long a run will take, from how it went so far; or that it stands still."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

#: Less says nothing about the rest.
_LEAST = 3
#: A run that moved so long ago is not slow, it stands.
_STANDS_AFTER = timedelta(seconds=60)


@dataclass(frozen=True)
class RunPace:
    """The pace of a run at this moment."""

    #: None while nobody can tell
    seconds_left: int | None = None
    #: nothing came to an end for a minute, though there is more to do
    stands_still: bool = False

    @classmethod
    def of(
        cls, began: datetime, last: datetime | None, now: datetime, *, worked: int, left: int
    ) -> RunPace:
        """Of a run that `began` and last moved at `last`, with so many pieces done and to do.

        Only time in which something moved counts: the rest does not grow while nothing does.
        """
        if not left:
            return cls()
        moved = last or began
        if now - moved > _STANDS_AFTER:
            return cls(stands_still=True)
        if worked < _LEAST:
            return cls()
        return cls(max(1, round((moved - began).total_seconds() / worked * left)))

    @property
    def words(self) -> str:
        """The same for a person; empty while there is nothing to say."""
        if self.stands_still:
            return "1分以上、進んでいません"
        return "" if self.seconds_left is None else f"残り約 {self.seconds_left:,}秒"
