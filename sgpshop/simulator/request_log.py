"""The last requests at the payment endpoint, for tests and for a person who wonders.

Kept in memory and masked on the way in: no password and no card number stays here.
"""

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

CAPACITY = 20_000

MASK = "********"
_SECRET = frozenset({"ShopPass", "SitePass", "AccessPass", "CardPass", "SecurityCode", "Token"})
_SECRET_IN_ANSWER = re.compile(r"(?<=AccessPass=)[^&]*")


@dataclass(slots=True)
class Entry:
    """One request.  `answer` stays None while there is none: at work, dropped."""

    time: datetime
    api: str
    params: dict[str, str] = field(default_factory=dict)
    order_id: str | None = None
    fault: str | None = None
    answer: str | None = None

    def came_with(self, params: Mapping[str, str]) -> None:
        """Note the parameters without their secrets; of a card number four digits stay."""
        self.params = {name: _masked(name, value) for name, value in params.items()}

    def answered(self, text: str) -> None:
        """Note the answer that left."""
        self.answer = _SECRET_IN_ANSWER.sub(MASK, text)

    def described(self) -> dict[str, Any]:
        """The entry as the control interface shows it."""
        return {
            "time": self.time.isoformat(timespec="milliseconds"),
            "api": self.api,
            "order_id": self.order_id,
            "params": self.params,
            "fault": self.fault,
            "answer": self.answer,
        }


def _masked(name: str, value: str) -> str:
    if name == "CardNo":
        return "*" * (len(value) - 4) + value[-4:]
    return MASK if value and name in _SECRET else value


class RequestLog:
    """The last CAPACITY requests in the order they came in."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=CAPACITY)

    def arrived(self, time: datetime, api: str) -> Entry:
        """Note a request before anything is done about it."""
        entry = Entry(time, api)
        self._entries.append(entry)
        return entry

    def described(self, order_id: str | None) -> list[dict[str, Any]]:
        """The requests, all or those of one order."""
        # list() of a deque is one step of the interpreter, so no arrival can disturb it
        return [
            entry.described()
            for entry in list(self._entries)
            if order_id is None or entry.order_id == order_id
        ]

    def clear(self) -> None:
        """Forget all requests."""
        self._entries.clear()
