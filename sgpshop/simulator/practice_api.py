"""The shop that the practice shop sends its orders to: its JSON API, as another program uses it."""

import http.client
import json
import os
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit

URL_VARIABLE = "SGPSHOP_PRACTICE_API_URL"
KEY_VARIABLE = "SGPSHOP_PRACTICE_API_KEY"
#: Longer than the shop may wait for its gateway.
ANSWER_SECONDS = 40.0
MAX_ANSWER_BYTES = 1024 * 1024
_KEPT = 50
_MASK = "********"


class NoAnswer(Exception):
    """The shop could not be reached, or its answer did not come; the order may have arrived."""


class BadAddress(ValueError):
    """No address of a shop; the message says what it should be."""


@dataclass(frozen=True, slots=True)
class PracticeApi:
    """Where the shop is (`http://127.0.0.1:8000`), and a key with the scopes intake and read."""

    url: str
    key: str = field(repr=False)

    @classmethod
    def at(cls, url: str, key: str) -> "PracticeApi":
        """Check both; raises BadAddress."""
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError:
            parts = urlsplit("")
        is_plain = not (parts.query or parts.fragment or parts.username)
        if parts.scheme not in ("http", "https") or not parts.hostname or not is_plain:
            raise BadAddress("the address must be http(s)://host[:port]")
        if not key.isascii() or not key.isprintable() or not key.strip():
            raise BadAddress("the key must be one word of ASCII")
        return cls(url.rstrip("/"), key)

    @classmethod
    def from_environment(cls) -> "PracticeApi | None":
        """The shop that the environment names, None if it does not; raises BadAddress."""
        url, key = os.environ.get(URL_VARIABLE), os.environ.get(KEY_VARIABLE)
        return cls.at(url, key) if url and key else None

    def order_page(self, order_no: str) -> str:
        """Where staff see the order."""
        return f"{self.url}/orders/{quote(order_no)}"

    def post_order(self, order: Mapping[str, Any]) -> "Reply":
        """Send an order; sent again it is the same order.  Raises NoAnswer."""
        body = json.dumps(order, ensure_ascii=False).encode()
        return self._ask("POST", "/api/v1/orders", body, {"Idempotency-Key": order["order_no"]})

    def order(self, order_no: str) -> "Reply":
        """Ask how an order is now.  Raises NoAnswer."""
        return self._ask("GET", f"/api/v1/orders/{quote(order_no)}", None, {})

    def _ask(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> "Reply":
        parts = urlsplit(self.url)
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        connection = kind(parts.hostname or "", parts.port, timeout=ANSWER_SECONDS)
        headers = {"Authorization": f"Bearer {self.key}", "Accept": "application/json", **headers}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, parts.path + path, body, headers)
            answer = connection.getresponse()
            content = answer.read(MAX_ANSWER_BYTES)
        except (OSError, http.client.HTTPException) as problem:
            raise NoAnswer(type(problem).__name__) from None
        finally:
            connection.close()
        return Reply(answer.status, _object(content))


@dataclass(frozen=True, slots=True)
class Reply:
    """What the shop answered: HTTP status, and its JSON object ({} if it was none)."""

    status: int
    content: Mapping[str, Any]

    def text(self, name: str) -> str:
        """A field of the answer as text, "" if it is not there."""
        value = self.content.get(name)
        return value if isinstance(value, str) else ""


def _object(content: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


@dataclass(slots=True)
class Exchange:
    """One order of the practice shop: what was sent, and what came back last (None: nothing)."""

    at: datetime
    order: Mapping[str, Any]
    card: str
    reply: Reply | None = None

    @property
    def order_no(self) -> str:
        """The order number."""
        return str(self.order["order_no"])

    @property
    def sent(self) -> str:
        """The order as JSON, its token masked."""
        shown = {**self.order, "payment": {"token": _MASK}}
        return json.dumps(shown, ensure_ascii=False, indent=2)

    @property
    def received(self) -> str:
        """The answer as JSON."""
        content = self.reply.content if self.reply else {}
        return json.dumps(content, ensure_ascii=False, indent=2)


class Exchanges:
    """The last orders, in memory: the practice shop forgets, the real one does not."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: deque[Exchange] = deque(maxlen=_KEPT)

    def add(self, exchange: Exchange) -> None:
        """Keep one."""
        with self._lock:
            self._kept.append(exchange)

    def of(self, order_no: str) -> Exchange | None:
        """The one of an order number."""
        return next((placed for placed in self.latest() if placed.order_no == order_no), None)

    def latest(self) -> list[Exchange]:
        """All, the newest first."""
        with self._lock:
            return list(self._kept)[::-1]
