"""How many tasks a worker has under way at once: fewer while SMBC-GP is congested (E92)."""

from __future__ import annotations

import threading
import time


class Throttle:
    """How many operations at once: halved when the gateway says E92, then grown again."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._allowed = float(most)
        self._cut_at = float("-inf")
        self._lock = threading.Lock()

    @property
    def allowed(self) -> int:
        """The number that may be under way now, at least 1."""
        return max(1, int(self._allowed))

    def congested(self) -> None:
        """One call was refused for congestion; several at the same moment count once."""
        with self._lock:
            if time.monotonic() - self._cut_at > 1.0:
                self._cut_at = time.monotonic()
                self._allowed = max(1.0, self._allowed / 2)

    def went_well(self) -> None:
        """One call went through: after as many as run at once, one more may."""
        with self._lock:
            self._allowed = min(float(self._most), self._allowed + 1 / self._allowed)
