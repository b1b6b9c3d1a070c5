"""What the sweeper told of and is not done, and the look-ups that come after.

Captures go first (P23): only so many look-ups are told of as may be under way, and the end of one
tells of the next.  So none waits for a sweep, and none is in the way of what comes meanwhile.  Where
another worker took what we told of, its end tells of the next there.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from sgpshop.models import Queue

#: A row of a queue, as setbacks name it.
Key = tuple[Queue, int]
#: What was told and not taken by then is told again: its message was lost, or another's worker was.
_TELL_AGAIN = 15.0


class Told:
    """Of one worker; the sweeper and all its threads use it."""

    def __init__(self, room: Callable[[int], int]) -> None:
        #: how many look-ups more may be told of, given how many were and are not done
        self._room = room
        self._lock = threading.Lock()
        self._since: dict[Key, float] = {}
        self._look_ups: deque[int] = deque()

    def forget_old(self) -> None:
        """What was told long ago may be told again."""
        now = time.monotonic()
        with self._lock:
            recent = {key: at for key, at in self._since.items() if now - at < _TELL_AGAIN}
            self._since = recent

    def is_new(self, key: Key) -> bool:
        """Note that it is told now; False if it was before."""
        with self._lock:
            return self._note(key)

    def line_up(self, transaction_ids: Sequence[int]) -> list[int]:
        """These are due, in this order, and none beside; those to tell of now."""
        due = set(transaction_ids)
        with self._lock:
            # What is not due any more another worker did, and never told us.
            self._since = {
                (queue, row_id): at
                for (queue, row_id), at in self._since.items()
                if queue is not Queue.LOOK_UP or row_id in due
            }
            self._look_ups = deque(
                row_id for row_id in transaction_ids if (Queue.LOOK_UP, row_id) not in self._since
            )
            return self._next()

    def done(self, key: Key) -> tuple[bool, list[int]]:
        """It ended: whether it was told, and the look-ups to tell of now."""
        with self._lock:
            was_told = self._since.pop(key, None) is not None
            queue, row_id = key
            if queue is Queue.LOOK_UP and row_id in self._look_ups:
                self._look_ups.remove(row_id)
            return was_told, self._next(after_one=queue is Queue.LOOK_UP)

    def left(self) -> int:
        """How much was found and is not done."""
        with self._lock:
            return len(self._since) + len(self._look_ups)

    def _next(self, *, after_one: bool = False) -> list[int]:
        found: list[int] = []
        told = sum(queue is Queue.LOOK_UP for queue, _ in self._since)
        room = self._room(told) if self._look_ups else 0
        if after_one and self._look_ups and room < 1:
            room = min(1, self._room(0))  # its place is free, whoever has what we told of
        while self._look_ups and len(found) < room:
            found.append(self._look_ups.popleft())
            self._note((Queue.LOOK_UP, found[-1]))
        return found

    def _note(self, key: Key) -> bool:
        if key in self._since:
            return False
        self._since[key] = time.monotonic()
        return True
