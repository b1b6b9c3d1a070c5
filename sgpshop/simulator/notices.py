"""Result notifications to the shop: written with every processing, sent until it answers `0` (rule 33).

A notification is a row of the ledger, entered in the transaction of the processing it tells of, so
a killed gateway forgets none.  One thread sends what is due by the gateway's clock.
"""

import http.client
import json
import random
import sqlite3
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from .clock import Clock, wire_date
from .contract import Contract
from .ledger import Ledger
from .refusal import error_class
from .trade_records import Trade
from .wire import CHARSET

RETRY_SECONDS = 3600
TRIES = 6  # once, and five times again
ANSWER_SECONDS = 15.0
MAX_DELAY = 86_400.0
_POLL_SECONDS = 0.1
_KEPT = 20_000
#: In reverse order the first waits for those that follow, but not longer than this.
_HELD_SECONDS = 5.0

#: Sends a form body to an address; the answer's body, None without an answer of status 200.
Post = Callable[[str, bytes], str | None]


class BadNotifications(ValueError):
    """A control body that cannot be followed; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Sending:
    """How notifications are sent; without a `url` there are none."""

    url: str = ""
    delay_seconds: float = 1.0
    order: str = "normal"
    #: how many of them come twice, or get lost: from 0 (none) to 1 (all)
    duplicate: float = 0.0
    lose: float = 0.0
    #: sent before the API call that caused it is answered
    before_answer: bool = False


def parse_sending(body: Mapping[str, Any]) -> Sending:
    """Read a control body; a key that is not there has its default.  Raises BadNotifications."""
    unknown = body.keys() - Sending.__dataclass_fields__.keys()
    if unknown:
        raise BadNotifications(f"unknown keys: {', '.join(sorted(unknown))}")
    url = body.get("url") or ""
    if not isinstance(url, str) or (url and not _is_address(url)):
        raise BadNotifications("url must be http(s)://host[:port]/path, or null for none")
    delay = body.get("delay_seconds", 1)
    if type(delay) not in (int, float) or not 0 <= delay <= MAX_DELAY:
        raise BadNotifications(f"delay_seconds must be from 0 to {MAX_DELAY:.0f}")
    if body.get("order", "normal") not in ("normal", "reverse"):
        raise BadNotifications("order must be normal or reverse")
    if not isinstance(body.get("before_answer", False), bool):
        raise BadNotifications("before_answer must be true or false")
    return Sending(
        url=url,
        delay_seconds=float(delay),
        order=body.get("order", "normal"),
        duplicate=_share(body, "duplicate"),
        lose=_share(body, "lose"),
        before_answer=body.get("before_answer", False),
    )


def _share(body: Mapping[str, Any], name: str) -> float:
    value = body.get(name, False)
    if type(value) not in (bool, int, float) or not 0 <= value <= 1:
        raise BadNotifications(f"{name} must be true, false, or a share from 0 to 1")
    return float(value)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


class Notices:
    """The notifications of one gateway.  `post` is how they travel (tests give their own)."""

    def __init__(
        self, ledger: Ledger, clock: Clock, contract: Contract, *, seed: int | None = None
    ) -> None:
        self.post: Post = post_form
        self._ledger = ledger
        self._clock = clock
        self._contract = contract
        self._random = random.Random(seed)  # noqa: S311 - dice for tests, no secret
        self._delivering = threading.Lock()
        self._thread: threading.Thread | None = None
        self.sending = self._kept()

    def use(self, sending: Sending) -> None:
        """Send like this from now on, also after a restart."""
        with self._ledger.transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO notification_settings VALUES (1, ?)",
                (json.dumps(asdict(sending)),),
            )
        self.sending = sending

    def behave(self) -> None:
        """No misbehaviour any more; the address stays."""
        self.use(Sending(self.sending.url))

    def start(self, stopping: threading.Event) -> None:
        """Send what is due from a thread of its own until `stopping`; only once, only if wanted."""
        if self._thread is not None or not self.sending.url:
            return

        def run() -> None:
            while not stopping.wait(_POLL_SECONDS):
                try:
                    self.deliver_due()
                except sqlite3.ProgrammingError:  # the ledger was closed: the end
                    return

        self._thread = threading.Thread(target=run, daemon=True, name="notifications")
        self._thread.start()

    def tell(
        self, db: sqlite3.Connection, trade: Trade, job: str, codes: tuple[str, ...] = ()
    ) -> None:
        """Enter the notification of a processing, inside its ledger transaction."""
        sending = self.sending
        if not sending.url:
            return
        is_lost = self._happens(sending.lose)
        now = self._now()
        db.execute(
            "INSERT INTO notifications (order_id, body, due_at, tries, state)"
            " VALUES (?, ?, ?, 0, ?)",
            (
                trade.order_id,
                urlencode(self._fields(trade, job, codes)),
                now if sending.before_answer else now + sending.delay_seconds,
                "lost" if is_lost else "waiting",
            ),
        )

    def forge(self, params: Mapping[str, str]) -> str | None:
        """Send a notification of nothing that happened; what the shop answers."""
        fields = {"ShopID": self._contract.shop_id, "PayType": "0", **params}
        return self.post(self.sending.url, urlencode(fields, encoding=CHARSET).encode("ascii"))

    def deliver_due(self) -> int:
        """Send what is due now, in order; how many were sent."""
        with self._delivering:
            rows = self._due()
            for row in rows:
                self._deliver(row)
        return len(rows)

    def described(self, order_id: str | None) -> list[dict[str, Any]]:
        """All notifications, or one order's, oldest first, as the control interface shows them."""
        where, values = ("", ()) if order_id is None else (" WHERE order_id = ?", (order_id,))
        with self._ledger.reading() as db:
            rows = db.execute(
                f"SELECT * FROM notifications{where} ORDER BY id",  # noqa: S608 - one of our own conditions
                values,
            ).fetchall()
        return [
            {
                "order_id": row["order_id"],
                "state": row["state"],
                "tries": row["tries"],
                "answer": row["answer"],
                "params": dict(parse_qsl(row["body"], keep_blank_values=True)),
            }
            for row in rows
        ]

    def _due(self) -> list[sqlite3.Row]:
        now, is_reverse = self._now(), self.sending.order == "reverse"
        with self._ledger.reading() as db:
            rows = db.execute(
                "SELECT * FROM notifications WHERE state = 'waiting' AND due_at <= ? ORDER BY id",
                (now,),
            ).fetchall()
            if not is_reverse or not rows:
                return rows
            to_come = db.execute(
                "SELECT 1 FROM notifications WHERE state = 'waiting' AND tries = 0 AND due_at > ?",
                (now,),
            ).fetchone()
        if to_come and min(row["due_at"] for row in rows) > now - _HELD_SECONDS:
            return []
        return rows[::-1]

    def _deliver(self, row: sqlite3.Row) -> None:
        body = row["body"].encode("ascii")
        answer = self.post(self.sending.url, body) if self.sending.url else None
        if self._happens(self.sending.duplicate):
            answer = self.post(self.sending.url, body)
        tries = row["tries"] + 1
        is_received = answer is not None and answer.strip() == "0"
        state = "received" if is_received else "waiting" if tries < TRIES else "given_up"
        with self._ledger.transaction() as db:
            db.execute(
                "UPDATE notifications SET state = ?, tries = ?, answer = ?, due_at = ?"
                " WHERE id = ?",
                (state, tries, answer, self._now() + RETRY_SECONDS, row["id"]),
            )
            db.execute(
                "DELETE FROM notifications WHERE id <= ? AND state != 'waiting'",
                (row["id"] - _KEPT,),
            )

    def _fields(self, trade: Trade, job: str, codes: tuple[str, ...]) -> list[tuple[str, str]]:
        """What protocol.md §6 lists; after an error the transaction as it still is."""
        is_error = bool(codes)
        processed_at = self._clock.timestamp() if is_error else trade.processed_at
        return [
            ("ShopID", self._contract.shop_id),
            ("ShopPass", "*" * 10),
            ("AccessID", trade.access_id),
            ("AccessPass", "*" * 32),
            ("OrderID", trade.order_id),
            ("Status", trade.status),
            ("JobCd", job),
            ("Amount", str(trade.amount)),
            ("Tax", str(trade.tax)),
            ("Currency", "JPN"),
            ("Forward", "" if is_error else trade.forward),
            ("Method", trade.method),
            ("PayTimes", trade.pay_times),
            ("TranID", "" if is_error else trade.tran_id),
            ("Approve", "" if is_error else trade.approve),
            ("TranDate", wire_date(processed_at)),
            ("ErrCode", "|".join(map(error_class, codes))),
            ("ErrInfo", "|".join(codes)),
            ("PayType", "0"),
        ]

    def _happens(self, share: float) -> bool:
        return share > 0 and self._random.random() < share

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _kept(self) -> Sending:
        with self._ledger.reading() as db:
            row = db.execute("SELECT body FROM notification_settings").fetchone()
        return Sending(**json.loads(row["body"])) if row else Sending()


def post_form(url: str, body: bytes) -> str | None:
    """One POST, without proxies and redirects."""
    parts = urlsplit(url)
    is_secure = parts.scheme == "https"
    kind = http.client.HTTPSConnection if is_secure else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=ANSWER_SECONDS)
    target = parts.path or "/"
    try:
        connection.request(
            "POST",
            f"{target}?{parts.query}" if parts.query else target,
            body,
            {"Content-Type": "application/x-www-form-urlencoded"},
        )
        answer = connection.getresponse()
        text = answer.read(100).decode("latin-1")
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return text if answer.status == 200 else None
